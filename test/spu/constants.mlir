// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// On the grid of 18 fraction bits: 0.1 * 2^18 = 26214.4, and 26214 / 2^18 is 0.0999984741; the engine would truncate.
// CHECK-LABEL: func.func @rounds_to_grid(
// CHECK:         dense<0.0999984741> : tensor<f32>
func.func @rounds_to_grid() -> tensor<f32> {
  %0 = stablehlo.constant dense<0.1> : tensor<f32>
  return %0 : tensor<f32>
}

// -----

// The engine multiplies by constants below 2^-16 exactly, so they are not rounded.
// CHECK-LABEL: func.func @keeps_tiny(
// CHECK:         dense<9.99999997E-7> : tensor<f32>
func.func @keeps_tiny() -> tensor<f32> {
  %0 = stablehlo.constant dense<1.0e-6> : tensor<f32>
  return %0 : tensor<f32>
}

// -----

// CHECK-LABEL: func.func @infinities(
// CHECK-DAG:     dense<0xFF800000> : tensor<f32>
// CHECK-DAG:     dense<0x7F800000> : tensor<f32>
func.func @infinities() -> (tensor<f32>, tensor<f32>) {
  %0 = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %1 = stablehlo.constant dense<0x7F800000> : tensor<f32>
  return %0, %1 : tensor<f32>, tensor<f32>
}

// -----

// CHECK-LABEL: func.func @arrays(
// CHECK-DAG:     dense<[1.000000e+00, 2.500000e+00]> : tensor<2xf32>
// CHECK-DAG:     dense<{{.*}}true, false{{.*}}> : tensor<1x2xi1>
// CHECK-DAG:     dense<[1, -2]> : tensor<2xi32>
func.func @arrays() -> (tensor<2xf32>, tensor<1x2xi1>, tensor<2xi32>) {
  %0 = stablehlo.constant dense<[1.0, 2.5]> : tensor<2xf32>
  %1 = stablehlo.constant dense<[[true, false]]> : tensor<1x2xi1>
  %2 = stablehlo.constant dense<[1, -2]> : tensor<2xi32>
  return %0, %1, %2 : tensor<2xf32>, tensor<1x2xi1>, tensor<2xi32>
}

// -----

// CHECK-LABEL: func.func @iota(
// CHECK:         "pphlo.iota"() {iota_dimension = 1 : i64} : () -> tensor<2x4xi32>
func.func @iota() -> tensor<2x4xi32> {
  %0 = stablehlo.iota dim = 1 : tensor<2x4xi32>
  return %0 : tensor<2x4xi32>
}
