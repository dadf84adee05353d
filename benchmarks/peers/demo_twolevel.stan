// Two-level factor model with covariates (bayes_msem's reference model), factors and random
// intercepts integrated out: the likelihood of cross-products, one term per cluster size.
data {
  int<lower=1> P; // outcomes
  int<lower=1> X; // covariates within
  int<lower=1> W; // covariates between
  int<lower=1> G; // distinct cluster sizes
  real<lower=0> df_within; // rows less clusters
  vector[G] clusters; // of each size
  vector<lower=1>[G] size;
  // cross-products of the deviations (y, x) from cluster means; and of the means (y, x, w, 1) of
  // all clusters of a size, times the size
  matrix[P + X, P + X] cross_within;
  array[G] matrix[P + X + W + 1, P + X + W + 1] cross_between;
  vector[P - 1] loading_within_scale;
  vector[P - 1] loading_between_scale;
  vector[X] slope_within_scale;
  vector[W] slope_between_scale;
  vector[P] sd_within_scale;
  real factor_sd_within_scale;
  vector[P] sd_between_scale;
  real factor_sd_between_scale;
  vector[P] intercept_mean;
  vector[P] intercept_scale;
  int D; // parameters; 0 and the identity below leave the metric to the sampler
  vector[D] location;
  matrix[D, D] scale_root;
}
transformed data {
  matrix[P, P] identity = identity_matrix(P);
}
parameters {
  vector[D] z;
}
transformed parameters {
  // unconstrained parameters, decorrelated as by a dense metric; SDs as logarithms
  vector[D] theta = location + scale_root * z;
  vector[P - 1] loading_within = theta[1 : P - 1];
  vector[X] slope_within = theta[P : P + X - 1];
  vector[P] sd_within = exp(theta[P + X : 2 * P + X - 1]);
  real factor_sd_within = exp(theta[2 * P + X]);
  vector[P - 1] loading_between = theta[2 * P + X + 1 : 3 * P + X - 1];
  vector[W] slope_between = theta[3 * P + X : 3 * P + X + W - 1];
  vector[P] sd_between = exp(theta[3 * P + X + W : 4 * P + X + W - 1]);
  real factor_sd_between = exp(theta[4 * P + X + W]);
  vector[P] intercept = theta[4 * P + X + W + 1 : D];
}
model {
  vector[P] lw = append_row(1, loading_within);
  vector[P] lb = append_row(1, loading_between);
  vector[P] lw_sd = factor_sd_within * lw;
  vector[P] lb_sd = factor_sd_between * lb;
  matrix[P, P] sigma_w = add_diag(lw_sd * lw_sd', square(sd_within));
  matrix[P, P] sigma_b = add_diag(lb_sd * lb_sd', square(sd_between));
  matrix[P, X] effect_within = -lw * slope_within';
  matrix[P, P + X] residual = append_col(identity, effect_within);
  matrix[P, P + X + W + 1] mean_residual
    = append_col(append_col(residual, -lb * slope_between'), -intercept);
  target += -0.5 * (df_within * log_determinant_spd(sigma_w)
            + trace(mdivide_left_spd(sigma_w, quad_form_sym(cross_within, residual'))));
  for (g in 1 : G) {
    matrix[P, P] V = sigma_w + size[g] * sigma_b;
    target += -0.5 * (clusters[g] * log_determinant_spd(V)
              + trace(mdivide_left_spd(V, quad_form_sym(cross_between[g], mean_residual'))));
  }
  target += sum(theta[P + X : 2 * P + X]) + sum(theta[3 * P + X + W : 4 * P + X + W]); // Jacobian
  loading_within ~ normal(loading_within_scale, loading_within_scale);
  loading_between ~ normal(loading_between_scale, loading_between_scale);
  slope_within ~ normal(0, slope_within_scale);
  slope_between ~ normal(0, slope_between_scale);
  sd_within ~ student_t(4, 0, sd_within_scale);
  factor_sd_within ~ student_t(4, 0, factor_sd_within_scale);
  sd_between ~ normal(0, sd_between_scale);
  factor_sd_between ~ normal(0, factor_sd_between_scale);
  intercept ~ normal(intercept_mean, intercept_scale);
}
