// Poisson, random intercept and slope, exposure.
//   log E(y_i) = log(exposure_i) + intercept + u_1j + (slope + u_2j) x_i
// (u_1, u_2): SDs sd_u, correlation r, uniform on (-1, 1).
data {
  int<lower=1> N, J;
  array[N] int<lower=1, upper=J> cluster;
  array[N] int<lower=0> y;
  vector[N] x;
  vector<lower=0>[N] exposure;
}
parameters {
  real intercept, slope;
  vector<lower=0>[2] sd_u;
  real<lower=-1, upper=1> r;
  matrix[J, 2] z;
}
transformed parameters {
  vector[J] u1 = sd_u[1] * z[, 1];
  vector[J] u2 = sd_u[2] * (r * z[, 1] + sqrt(1 - square(r)) * z[, 2]);
}
model {
  intercept ~ normal(0, 1.5);
  slope ~ normal(0, 1);
  sd_u ~ normal(0, 1);
  to_vector(z) ~ std_normal();
  y ~ poisson_log(log(exposure) + intercept + u1[cluster] + (slope + u2[cluster]) .* x);
}
