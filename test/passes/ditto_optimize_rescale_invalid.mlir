// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-optimize-rescale

// expected-error @+1 {{[ditto-optimize-rescale] 'builtin.module' op: products are not exact yet; run ditto-expand-rescale first}}
module attributes {ditto.stage = "cast"} {
  func.func @not_expanded(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @product_too_large(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 20>> {
    %e = stablehlo.floor %x {ditto.max_abs = 1.0e4 : f64} : tensor<4xf32, #ditto.fxp<32, 10>>
    // expected-error @+1 {{values reach 1e+08, which leaves 2 fraction bits in ring 32, fewer than 4; give the op a rule with a wider ring}}
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 20>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 20>>
  }
}

// -----

// expected-error @+1 {{'builtin.module' op: ditto-expand-comparisons has run already; run this pass before it}}
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @compares(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>> {
    %0 = "ditto.less"(%x) {thresholds = array<i64: 0>} : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    return %0 : tensor<4xi1, #ditto.int<32>>
  }
}
