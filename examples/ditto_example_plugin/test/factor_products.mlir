// RUN: ditto-opt %s --example-factor-products --split-input-file | filecheck %s
// RUN: ditto-opt %s --example-factor-products='max-products=0' --split-input-file | filecheck %s --check-prefix=NONE
// RUN: ditto-opt %s --load-pass-plugin=ditto_example --pass-pipeline='builtin.module(example-factor-products,cse)' --split-input-file | filecheck %s
// RUN: ditto-opt --version | filecheck %s --check-prefix=VERSION
// RUN: ditto-opt --list-passes | filecheck %s --check-prefix=LIST

// VERSION: plugin ditto-example-plugin 1.0
// LIST: example-factor-products

// CHECK-LABEL: @a_common_factor
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32>, %[[A:.*]]: tensor<4xf32>, %[[B:.*]]: tensor<4xf32>)
// CHECK-NEXT: %[[SUM:.*]] = stablehlo.add %[[A]], %[[B]]
// CHECK-NEXT: %[[PRODUCT:.*]] = stablehlo.multiply %[[X]], %[[SUM]]
// CHECK-NEXT: return %[[PRODUCT]]
// NONE-LABEL: @a_common_factor
// NONE-NEXT: stablehlo.multiply
// NONE-NEXT: stablehlo.multiply
func.func @a_common_factor(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.multiply %a, %x : tensor<4xf32>
  %1 = stablehlo.multiply %x, %b : tensor<4xf32>
  %2 = stablehlo.add %0, %1 : tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// A product with another use has to be computed anyway.
// CHECK-LABEL: @another_use
// CHECK-NEXT: stablehlo.multiply
// CHECK-NEXT: stablehlo.multiply
// CHECK-NEXT: stablehlo.add
func.func @another_use(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.multiply %x, %a : tensor<4xf32>
  %1 = stablehlo.multiply %x, %b : tensor<4xf32>
  %2 = stablehlo.add %0, %1 : tensor<4xf32>
  return %2, %1 : tensor<4xf32>, tensor<4xf32>
}
