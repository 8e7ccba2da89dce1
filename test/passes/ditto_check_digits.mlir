// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-check-digits -o /dev/null

// 2e3 * 2^-15 + 1e4 * 2^-15, as squares add up: 0.31 of results up to 1.
module attributes {ditto.stage = "cast"} {
  func.func @product(%x: tensor<2xf32, #ditto.fxp<64, 14>> {ditto.max_abs = 1.0e4 : f64}, %y: tensor<2xf32, #ditto.fxp<64, 14>> {ditto.max_abs = 2.0e3 : f64}) -> tensor<2xf32, #ditto.fxp<64, 14>> {
    // expected-warning@+1 {{rounding its operands can change results of up to 1 by 0.31: these are large in some places and small in others, where few digits are left; bring them to one size before, give it a rule with more frac bits, or simulate}}
    %0 = stablehlo.multiply %x, %y {ditto.range = array<f64: -1.0, 1.0>} : tensor<2xf32, #ditto.fxp<64, 14>>
    return %0 : tensor<2xf32, #ditto.fxp<64, 14>>
  }
}

// -----

// Digits enough; nothing measured; squares; nothing known of a factor; public numbers.
module attributes {ditto.stage = "cast"} {
  func.func @enough(%x: tensor<2xf32, #ditto.fxp<64, 20>> {ditto.max_abs = 1.0e4 : f64}, %y: tensor<2xf32, #ditto.fxp<64, 20>> {ditto.max_abs = 2.0e3 : f64}, %z: tensor<2xf32, #ditto.fxp<64, 20>>, %p: tensor<2xf32, #ditto.fxp<64, 10>> {ditto.visibility = "public", ditto.max_abs = 1.0e5 : f64}, %q: tensor<2xf32, #ditto.fxp<64, 10>> {ditto.visibility = "public", ditto.max_abs = 1.0e5 : f64}) -> (tensor<2xf32, #ditto.fxp<64, 20>>, tensor<2xf32, #ditto.fxp<64, 10>>) {
    %0 = stablehlo.multiply %x, %y {ditto.range = array<f64: -1.0, 1.0>} : tensor<2xf32, #ditto.fxp<64, 20>>
    %1 = stablehlo.multiply %x, %y : tensor<2xf32, #ditto.fxp<64, 20>>
    %2 = stablehlo.multiply %x, %x {ditto.range = array<f64: 0.0, 1.0>} : tensor<2xf32, #ditto.fxp<64, 20>>
    %3 = stablehlo.multiply %z, %0 {ditto.range = array<f64: 0.0, 1.0>} : tensor<2xf32, #ditto.fxp<64, 20>>
    %4 = stablehlo.multiply %p, %q {ditto.range = array<f64: 0.0, 1.0>} : tensor<2xf32, #ditto.fxp<64, 10>>
    %5 = stablehlo.add %1, %2 : tensor<2xf32, #ditto.fxp<64, 20>>
    %6 = stablehlo.add %5, %3 : tensor<2xf32, #ditto.fxp<64, 20>>
    return %6, %4 : tensor<2xf32, #ditto.fxp<64, 20>>, tensor<2xf32, #ditto.fxp<64, 10>>
  }
}

// -----

// Constants are ditto-check-constants' business.
module attributes {ditto.stage = "cast"} {
  func.func @constant(%y: tensor<2xf32, #ditto.fxp<64, 20>> {ditto.max_abs = 2.0e3 : f64}) -> tensor<2xf32, #ditto.fxp<64, 20>> {
    %c = stablehlo.constant dense<[1.0e5, 1.0]> : tensor<2xf32, #ditto.fxp<64, 20>>
    %0 = stablehlo.multiply %c, %y {ditto.range = array<f64: -2.0e3, 2.0e3>} : tensor<2xf32, #ditto.fxp<64, 20>>
    return %0 : tensor<2xf32, #ditto.fxp<64, 20>>
  }
}

// -----

// The least sum is 1e-5: 2.6 steps of 2^-18, and each of 16 squares was rounded. So is its root, which divides.
module attributes {ditto.stage = "cast"} {
  func.func @norms(%x: tensor<4x16xf32, #ditto.fxp<64, 18>> {ditto.max_abs = 100.0 : f64}) -> tensor<4x16xf32, #ditto.fxp<64, 18>> {
    %zero = stablehlo.constant dense<0.0> : tensor<f32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %x, %x : tensor<4x16xf32, #ditto.fxp<64, 18>>
    %1 = "stablehlo.reduce"(%0, %zero) <{dimensions = array<i64: 1>}> ({
    ^bb0(%a: tensor<f32, #ditto.fxp<64, 18>>, %b: tensor<f32, #ditto.fxp<64, 18>>):
      %s = stablehlo.add %a, %b : tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %s : tensor<f32, #ditto.fxp<64, 18>>
    }) {ditto.range = array<f64: 1.0e-5, 1.6e5>} : (tensor<4x16xf32, #ditto.fxp<64, 18>>, tensor<f32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.sqrt %1 {ditto.range = array<f64: 3.1622777e-3, 400.0>} : tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.broadcast_in_dim %2, dims = [0] : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4x16xf32, #ditto.fxp<64, 18>>
    // expected-warning@+1 {{rounding its operands can change results of up to 0.5 by}}
    %4 = stablehlo.divide %x, %3 {ditto.range = array<f64: -0.5, 0.5>} : tensor<4x16xf32, #ditto.fxp<64, 18>>
    return %4 : tensor<4x16xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// log and 1/sqrt, of 3 steps and of many.
module attributes {ditto.stage = "cast"} {
  func.func @functions(%x: tensor<2xf32, #ditto.fxp<64, 10>> {ditto.range = array<f64: 0.003, 9.0>}, %y: tensor<2xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 0.003, 9.0>}) -> (tensor<2xf32, #ditto.fxp<64, 10>>, tensor<2xf32, #ditto.fxp<64, 18>>, tensor<2xf32, #ditto.fxp<64, 18>>) {
    // expected-warning@+1 {{rounding its operands can change results of up to 18.3 by 1.5}}
    %0 = stablehlo.rsqrt %x {ditto.range = array<f64: 0.33, 18.26>} : tensor<2xf32, #ditto.fxp<64, 10>>
    %1 = stablehlo.rsqrt %y {ditto.range = array<f64: 0.33, 18.26>} : tensor<2xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.log %y {ditto.range = array<f64: -5.9, 2.2>} : tensor<2xf32, #ditto.fxp<64, 18>>
    return %0, %1, %2 : tensor<2xf32, #ditto.fxp<64, 10>>, tensor<2xf32, #ditto.fxp<64, 18>>, tensor<2xf32, #ditto.fxp<64, 18>>
  }
}
