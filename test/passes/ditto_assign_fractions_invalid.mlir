// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-assign-fractions

// expected-error @+1 {{[ditto-assign-fractions] 'builtin.module' op: products are not exact yet; run ditto-expand-rescale first}}
module attributes {ditto.stage = "cast"} {
  func.func @not_expanded(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @too_large_for_the_ring(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %w: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 20>> {
    %e = stablehlo.floor %x : tensor<4xf32, #ditto.fxp<32, 10>>
    // expected-error @+1 {{its result reaches 1e+05, which leaves 2 fraction bits for an operand in ring 32, fewer than 4; give it a rule with a wider ring}}
    %0 = stablehlo.multiply %e, %w {ditto.max_abs = 1.0e5 : f64} : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 20>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 20>>
  }
}
