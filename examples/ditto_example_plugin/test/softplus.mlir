// RUN: ditto-opt %s --ditto-approximate='policy=example' --split-input-file | filecheck %s
// RUN: ditto-opt %s --ditto-approximate='policy=uniform64' --split-input-file | filecheck %s --check-prefix=EXACT

// CHECK-LABEL: @log_of_exp
// CHECK-NOT: stablehlo.exponential
// CHECK-NOT: stablehlo.log_plus_one
// CHECK: stablehlo.select
// EXACT-LABEL: @log_of_exp
// EXACT-NEXT: stablehlo.exponential
// EXACT-NEXT: stablehlo.log_plus_one
func.func @log_of_exp(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.exponential %x : tensor<4xf32>
  %1 = stablehlo.log_plus_one %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// CHECK-LABEL: @log_of_exp_of_another
// CHECK: stablehlo.exponential
// CHECK: stablehlo.log_plus_one
func.func @log_of_exp_of_another(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.exponential %x : tensor<4xf32>
  %1 = stablehlo.negate %0 : tensor<4xf32>
  %2 = stablehlo.log_plus_one %1 : tensor<4xf32>
  return %2 : tensor<4xf32>
}
