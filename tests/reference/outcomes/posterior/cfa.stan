// Two-level ordinal factor model, probit link, every latent variable sampled (non-centred).
//   y*_ik = lambda_w[k] fw_i + b_k[cluster i] + e_ik,   e ~ N(0, 1)
//   b_jk  = lambda_b[k] fb_j + u_jk
// Same posterior as benchmarks/peers/ordinal_cfa.stan; the likelihood is written for speed.
data {
  int<lower=1> N, J, K, C;
  array[N] int<lower=1, upper=J> cluster;
  array[K, N] int<lower=1, upper=C> y;
}
transformed data {
  // rows in the order of their category, for each item; where the inner categories begin and end
  array[K, N] int order;
  array[K] int first, last;
  for (k in 1:K) {
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
    vector[N] eta = (lambda_w[k] * z_w + b[cluster])[order[k]];
    array[last[k] - first[k] + 1] int inner = y[k, order[k, first[k]:last[k]]];
    array[size(inner)] int below;
    for (i in 1:size(inner)) below[i] = inner[i] - 1;
    vector[size(inner)] middle = eta[first[k]:last[k]];
    target += normal_lcdf(tau[k, 1] - eta[1:(first[k] - 1)] | 0, 1);
    target += sum(log(Phi(tau[k][inner] - middle) - Phi(tau[k][below] - middle)));
    target += normal_lcdf(eta[(last[k] + 1):N] - tau[k, C - 1] | 0, 1);
  }
}
