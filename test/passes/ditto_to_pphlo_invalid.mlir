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
    // expected-error @+1 {{'ditto.downcast' op: there is no lowering to pphlo; run ditto-check-supported first}}
    %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "outlined"} {
  func.func @main() -> tensor<2xi64, #ditto.int<32>> {
    %0 = call @r0() : () -> tensor<2xi64, #ditto.int<32>>
    return %0 : tensor<2xi64, #ditto.int<32>>
  }
  func.func private @r0() -> tensor<2xi64, #ditto.int<32>> attributes {ditto.frac = 0 : i32, ditto.ring = 32 : i32} {
    // expected-error @+1 {{'stablehlo.constant' op: 4294967296 does not fit #ditto.int<32>, which holds integers in [-2147483648, 2147483648); give what is computed with it a rule with a wider ring}}
    %0 = stablehlo.constant dense<[1, 4294967296]> : tensor<2xi64, #ditto.int<32>>
    %1 = stablehlo.constant dense<[-2147483648, 2147483647]> : tensor<2xi64, #ditto.int<32>>
    %2 = stablehlo.constant dense<4294967295> : tensor<2xui32, #ditto.int<32>>
    return %0 : tensor<2xi64, #ditto.int<32>>
  }
}

// -----

// expected-error @+1 {{'builtin.module' op: ditto-to-pphlo has run already; run this pass before it}}
module attributes {ditto.stage = "lowered"} {
  func.func @lowered(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
