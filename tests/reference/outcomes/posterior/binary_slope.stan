// Binary logit, random intercept and slope.
//   logit P(y_i = 1) = -tau + u_1j + (slope + u_2j) x_i
// (u_1, u_2): SDs sd_u, correlation r, uniform on (-1, 1).
data {
  int<lower=1> N, J;
  array[N] int<lower=1, upper=J> cluster;
  array[N] int<lower=0, upper=1> y;
  vector[N] x;
}
parameters {
  real tau, slope;
  vector<lower=0>[2] sd_u;
  real<lower=-1, upper=1> r;
  matrix[J, 2] z;
}
transformed parameters {
  vector[J] u1 = sd_u[1] * z[, 1];
  vector[J] u2 = sd_u[2] * (r * z[, 1] + sqrt(1 - square(r)) * z[, 2]);
}
model {
  tau ~ normal(0, 1.5);
  slope ~ normal(0, 1);
  sd_u ~ normal(0, 1);
  to_vector(z) ~ std_normal();
  y ~ bernoulli_logit(-tau + u1[cluster] + (slope + u2[cluster]) .* x);
}
