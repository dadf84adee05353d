// Two-level ordinal factor model, probit link, as a careful user writes it in Stan: explicit
// latent variables, non-centred, the built-in ordered_probit.
//   y*_ik = lambda_w[k] fw_i + b_k[cluster i] + e_ik,   e ~ N(0, 1)
//   b_jk  = lambda_b[k] fb_j + u_jk
data {
  int<lower=1> N, J, K, C;
  array[N] int<lower=1, upper=J> cluster;
  array[K, N] int<lower=1, upper=C> y;
}
parameters {
  array[K] ordered[C - 1] tau;
  vector[K - 1] loading_w, loading_b;
  real<lower=0> sd_fw, sd_fb;
  vector<lower=0>[K] sd_u;
  vector[N] z_w;
  vector[J] z_b;
  matrix[J, K] z_u;
}
model {
  vector[K] lambda_w = sd_fw * append_row(1, loading_w);
  vector[K] lambda_b = sd_fb * append_row(1, loading_b);
  loading_w ~ normal(1, 1);
  loading_b ~ normal(1, 1);
  sd_fw ~ normal(0, 1);
  sd_fb ~ normal(0, 1);
  sd_u ~ normal(0, 1);
  z_w ~ std_normal();
  z_b ~ std_normal();
  to_vector(z_u) ~ std_normal();
  for (k in 1:K) {
    tau[k] ~ normal(0, 1.5);
    vector[J] b = lambda_b[k] * z_b + sd_u[k] * z_u[, k];
    y[k] ~ ordered_probit(lambda_w[k] * z_w + b[cluster], tau[k]);
  }
}
