// RUN: ditto-opt %s --ditto-pipeline | filecheck %s

// Owners stay with their arguments from the first pass to the last. An input in two encodings is two arguments, of
// one owner.
// CHECK-LABEL: func.func {{.*}}@main(
// CHECK-SAME:    %arg0: {{[^%]*}}ditto.input = 0 : i32, ditto.owner = "clinic", ditto.visibility = "secret"}
// CHECK-SAME:    %arg1: {{[^%]*}}ditto.input = 1 : i32, ditto.owner = "model.example:8/v1"}
// CHECK-SAME:    %arg2: {{[^%]*}}ditto.input = 0 : i32, ditto.owner = "clinic", ditto.visibility = "secret"}
// CHECK-NOT:   ditto.owner
// CHECK:         return
func.func public @main(%x: tensor<2x8xf32> {ditto.owner = "clinic", ditto.visibility = "secret"}, %w: tensor<8x4xf32> {ditto.owner = "model.example:8/v1"}) -> (tensor<2x4xf32>, tensor<2x8xf32>) {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = call @exp(%x) : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<2x8xf32>
}
func.func private @exp(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %0 = stablehlo.exponential %x : tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}
