// Ordinal z on a within factor of K ordinal items, with a slope that varies; probit.
//   y*_ik = lambda_w[k] fw_i + lambda_b[k] fb_j + u_jk + e_ik
//   z*_i  = beta_b fb_j + v_1j + (slope + v_2j) fw_i + e_i
// (v_1, v_2): SDs sd_v, correlation r, uniform on (-1, 1). Row K + 1 of y and tau is z.
data {
  int<lower=1> N, J, K, C;
  array[N] int<lower=1, upper=J> cluster;
  array[K + 1, N] int<lower=1, upper=C> y;
}
transformed data {
  // rows in the order of their category, for each item; where the inner categories begin and end
  array[K + 1, N] int order;
  array[K + 1] int first, last;
  for (k in 1:(K + 1)) {
    order[k] = sort_indices_asc(y[k]);
    first[k] = 1;
    last[k] = N;
    for (i in 1:N) {
      if (y[k, i] == 1) first[k] += 1;
      if (y[k, i] == C) last[k] -= 1;
    }
  }
}
parameters {
  array[K + 1] ordered[C - 1] tau;
  vector[K - 1] loading_w, loading_b;
  real<lower=0> sd_fw, sd_fb;
  vector<lower=0>[K] sd_u;
  real slope, beta_b;
  vector<lower=0>[2] sd_v;
  real<lower=-1, upper=1> r;
  vector[N] z_w;
  vector[J] z_b;
  matrix[J, K] z_u;
  matrix[J, 2] z_v;
}
model {
  vector[K] lambda_w = sd_fw * append_row(1, loading_w);
  vector[K] lambda_b = sd_fb * append_row(1, loading_b);
  loading_w ~ normal(1, 1);
  loading_b ~ normal(1, 1);
  sd_fw ~ normal(0, 1);
  sd_fb ~ normal(0, 1);
  sd_u ~ normal(0, 1);
  slope ~ normal(0, 1);
  beta_b ~ normal(0, 1);
  sd_v ~ normal(0, 1);
  z_w ~ std_normal();
  z_b ~ std_normal();
  to_vector(z_u) ~ std_normal();
  to_vector(z_v) ~ std_normal();
  vector[J] v1 = beta_b * sd_fb * z_b + sd_v[1] * z_v[, 1];
  vector[J] v2 = sd_v[2] * (r * z_v[, 1] + sqrt(1 - square(r)) * z_v[, 2]);
  for (k in 1:(K + 1)) {
    vector[N] eta;
    if (k <= K) {
      vector[J] b = lambda_b[k] * z_b + sd_u[k] * z_u[, k];
      eta = lambda_w[k] * z_w + b[cluster];
    } else {
      eta = v1[cluster] + sd_fw * (slope + v2[cluster]) .* z_w;
    }
    tau[k] ~ normal(0, 1.5);
    eta = eta[order[k]];
    array[last[k] - first[k] + 1] int inner = y[k, order[k, first[k]:last[k]]];
    array[size(inner)] int below;
    for (i in 1:size(inner)) below[i] = inner[i] - 1;
    vector[size(inner)] middle = eta[first[k]:last[k]];
    target += normal_lcdf(tau[k, 1] - eta[1:(first[k] - 1)] | 0, 1);
    target += sum(log(Phi(tau[k][inner] - middle) - Phi(tau[k][below] - middle)));
    target += normal_lcdf(eta[(last[k] + 1):N] - tau[k, C - 1] | 0, 1);
  }
}
