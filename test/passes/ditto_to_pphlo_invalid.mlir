// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-to-pphlo

// expected-error @+1 {{[ditto-to-pphlo] 'builtin.module' op: the module has no regions; run ditto-outline-regions first}}
module attributes {ditto.stage = "cast"} {
  func.func @not_outlined(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "outlined"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = call @r0(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  func.func private @r0(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32} {
    // expected-error @+1 {{'stablehlo.cbrt' op: there is no lowering to pphlo; run ditto-check-supported first}}
    %0 = stablehlo.cbrt %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
