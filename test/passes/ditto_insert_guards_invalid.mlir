// RUN: ditto-opt %s --verify-diagnostics --ditto-insert-guards

// expected-error @+1 {{no explicit casts}}
module {
  func.func @too_early(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.negate %x : tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}
