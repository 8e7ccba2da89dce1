// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-apply-ranges='ranges=%S/Inputs/ranges.json'

// expected-error @+1 {{none of the 4 calibrated ranges belongs to this program; calibrate it again}}
module {
  func.func @another_program() -> tensor<i32> {
    %0 = stablehlo.constant dense<1> : tensor<i32>
    return %0 : tensor<i32>
  }
}
