// REQUIRES: chlo-square
// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(legalize-chlo,ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// CHECK-LABEL: func.func @square(
// CHECK:         "pphlo.multiply"(%arg0, %arg0)
func.func @square(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = chlo.square %x : tensor<4xf32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
