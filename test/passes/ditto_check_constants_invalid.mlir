// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-check-constants

// expected-error@+1 {{the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

// 1/3e6 is 0.09 steps of 2^-18.
module attributes {ditto.stage = "cast"} {
  func.func @divisor(%x: tensor<2xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<[3.0e6, 1.0]> : tensor<2xf32, #ditto.fxp<64, 18>>
    // expected-error@+1 {{1/3e+06 is 0 in steps of 2^-18; give the op a rule with more frac bits, or scale its operands; calibrate, if what it meets is small}}
    %0 = stablehlo.divide %x, %c : tensor<2xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<2xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// 0.0004 * 1024 = 0.41, and up to 100 * 0.0004 = 0.04 is lost, which is 41 steps.
module attributes {ditto.stage = "cast"} {
  func.func @factor(%x: tensor<2xf32, #ditto.fxp<32, 10>> {ditto.max_abs = 100.0 : f64}) -> tensor<2xf32, #ditto.fxp<32, 10>> {
    %c = stablehlo.constant dense<[0.0004, 1.0]> : tensor<2xf32, #ditto.fxp<32, 10>>
    // expected-error@+1 {{0.0004 is 0 in steps of 2^-10; give the op a rule with more frac bits, or scale its operands}}
    %0 = stablehlo.multiply %x, %c : tensor<2xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<2xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @weights(%x: tensor<4x2xf32, #ditto.fxp<32, 10>>) -> tensor<4x2xf32, #ditto.fxp<32, 10>> {
    %w = stablehlo.constant dense<[[0.0001, 0.0002], [0.0003, 0.0004]]> : tensor<2x2xf32, #ditto.fxp<32, 10>>
    // expected-error@+1 {{steps of 2^-10 change its constant operand by 100%}}
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<4x2xf32, #ditto.fxp<32, 10>>, tensor<2x2xf32, #ditto.fxp<32, 10>>) -> tensor<4x2xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4x2xf32, #ditto.fxp<32, 10>>
  }
}
