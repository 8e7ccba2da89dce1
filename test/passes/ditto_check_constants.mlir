// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-check-constants

// Nothing is known of %x: a value of 2500 would lose 1.
module attributes {ditto.stage = "cast"} {
  func.func @unknown(%x: tensor<2xf32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<32, 10>> {
    %c = stablehlo.constant dense<[0.0004, 1.0]> : tensor<2xf32, #ditto.fxp<32, 10>>
    // expected-warning@+1 {{0.0004 is 0 in steps of 2^-10; give the op a rule with more frac bits, or scale its operands; calibrate, if what it meets is small}}
    %0 = stablehlo.multiply %x, %c : tensor<2xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<2xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Up to 1 * 0.0004 is lost, less than a step. A single factor that small is multiplied in two steps. What is
// added is as exact as anything.
module attributes {ditto.stage = "cast"} {
  func.func @small(%x: tensor<2xf32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<32, 10>> {
    %c = stablehlo.constant dense<[0.0004, 1.0]> : tensor<2xf32, #ditto.fxp<32, 10>>
    %splat = stablehlo.constant dense<0.0004> : tensor<2xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.tanh %x : tensor<2xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.multiply %0, %c : tensor<2xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.multiply %x, %splat : tensor<2xf32, #ditto.fxp<32, 10>>
    %3 = stablehlo.add %x, %c : tensor<2xf32, #ditto.fxp<32, 10>>
    %4 = stablehlo.add %1, %2 : tensor<2xf32, #ditto.fxp<32, 10>>
    %5 = stablehlo.add %3, %4 : tensor<2xf32, #ditto.fxp<32, 10>>
    return %5 : tensor<2xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// 0.0021 * 1024 = 2.15 becomes 2, which is 7% less; with a step in 2^-18 it is exact enough.
module attributes {ditto.stage = "cast"} {
  func.func @rough(%x: tensor<2xf32, #ditto.fxp<32, 10>> {ditto.max_abs = 100.0 : f64}, %y: tensor<2xf32, #ditto.fxp<64, 18>> {ditto.max_abs = 100.0 : f64}) -> (tensor<2xf32, #ditto.fxp<32, 10>>, tensor<2xf32, #ditto.fxp<64, 18>>) {
    %c = stablehlo.constant dense<[0.0021, 1.0]> : tensor<2xf32, #ditto.fxp<32, 10>>
    %d = stablehlo.constant dense<[0.0021, 1.0]> : tensor<2xf32, #ditto.fxp<64, 18>>
    // expected-warning@+1 {{0.0021 is 0.00195312 in steps of 2^-10; give the op a rule with more frac bits, or scale its operands}}
    %0 = stablehlo.multiply %x, %c : tensor<2xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.multiply %y, %d : tensor<2xf32, #ditto.fxp<64, 18>>
    return %0, %1 : tensor<2xf32, #ditto.fxp<32, 10>>, tensor<2xf32, #ditto.fxp<64, 18>>
  }
}
