// RUN: ditto-opt %s --ditto-pipeline=%S/Inputs/narrow_linear.toml | filecheck %s --check-prefix=TWICE
// RUN: ditto-opt %s --ditto-pipeline | filecheck %s
// RUN: ditto-opt %s --ditto-pipeline -o /dev/null --mlir-print-ir-after-all 2>&1 | filecheck %s --check-prefix=EACH

// Owners stay with their arguments from the first pass to the last.
// CHECK-LABEL: func.func {{.*}}@main(
// CHECK-SAME:    %arg0: tensor<2x8xf32, {{[^{]*}}{{{[^}]*}}ditto.owner = "clinic", ditto.visibility = "secret"}
// CHECK-SAME:    %arg1: tensor<8x4xf32, {{[^{]*}}{{{[^}]*}}ditto.owner = "model.example:8/v1"}
// CHECK-NOT:   ditto.owner
// CHECK:       func.func private @r0

// EACH:        IR Dump After inline-calls
// EACH:        @main(%arg0: {{.*}}ditto.owner = "clinic"{{.*}}%arg1: {{.*}}ditto.owner = "model.example:8/v1"
// EACH:        IR Dump After ditto-annotate
// EACH:        @main(%arg0: {{.*}}ditto.owner = "clinic"{{.*}}%arg1: {{.*}}ditto.owner = "model.example:8/v1"
// EACH:        IR Dump After ditto-insert-casts
// EACH:        @main(%arg0: {{.*}}ditto.owner = "clinic"{{.*}}%arg1: {{.*}}ditto.owner = "model.example:8/v1"
// EACH:        IR Dump After ditto-outline-regions
// EACH:        @main(%arg0: {{.*}}ditto.owner = "clinic"{{.*}}%arg1: {{.*}}ditto.owner = "model.example:8/v1"
// EACH:        IR Dump After ditto-to-pphlo
// EACH:        @main(%arg0: {{.*}}ditto.owner = "clinic"{{.*}}%arg1: {{.*}}ditto.owner = "model.example:8/v1"

// An input in two encodings is two arguments, of one owner.
// TWICE-LABEL: func.func {{.*}}@main(
// TWICE-SAME:    ditto.input = 0 : i32, ditto.owner = "clinic"
// TWICE-SAME:    ditto.input = 1 : i32, ditto.owner = "model.example:8/v1"
// TWICE-SAME:    ditto.input = 0 : i32, ditto.owner = "clinic"
func.func public @main(%x: tensor<2x8xf32> {ditto.owner = "clinic", ditto.visibility = "secret"}, %w: tensor<8x4xf32> {ditto.owner = "model.example:8/v1"}) -> (tensor<2x4xf32>, tensor<2x8xf32>) {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = call @exp(%x) : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<2x8xf32>
}
func.func private @exp(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %0 = stablehlo.exponential %x : tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}
