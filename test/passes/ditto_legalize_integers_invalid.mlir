// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-legalize-integers

// A quotient of 32 bits times a divisor of 32 bits takes 64, and a sign.
module attributes {ditto.stage = "cast"} {
  func.func @narrow(%x: tensor<4xi32, #ditto.int<32>>, %y: tensor<4xi32, #ditto.int<32>>) -> tensor<4xi32, #ditto.int<32>> {
    // expected-error @+1 {{a division of these integers needs 64 bits, but is in ring 32; give it a rule with a wider ring, or convert them to the dtype that fits them}}
    %0 = stablehlo.divide %x, %y : tensor<4xi32, #ditto.int<32>>
    return %0 : tensor<4xi32, #ditto.int<32>>
  }
}

// -----

// expected-error @+1 {{no explicit casts}}
module {
  func.func @too_early(%x: tensor<4xi32>) -> tensor<4xi32> {
    %0 = stablehlo.maximum %x, %x : tensor<4xi32>
    return %0 : tensor<4xi32>
  }
}
