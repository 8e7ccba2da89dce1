// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-legalize-constants,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// On the grid of 18 fraction bits: 0.1 * 2^18 = 26214.4, and 26214 / 2^18 is 0.0999984741; the engine would truncate.
// CHECK-LABEL: func.func @rounds_to_grid(
// CHECK:         dense<0.0999984741> : tensor<f32>
func.func @rounds_to_grid() -> tensor<f32> {
  %0 = stablehlo.constant dense<0.1> : tensor<f32>
  return %0 : tensor<f32>
}

// -----

// 1e-5 * 2^18 = 2.62 is 3 units.
// CHECK-LABEL: func.func @rounds_to_grid_when_tiny(
// CHECK:         dense<1.14440918E-5> : tensor<f32>
func.func @rounds_to_grid_when_tiny() -> tensor<f32> {
  %0 = stablehlo.constant dense<1.0e-5> : tensor<f32>
  return %0 : tensor<f32>
}

// -----

// A double keeps its digits: 0.1 * 2^40 rounded, not the single that is nearest.
// CHECK-LABEL: func.func @rounds_to_grid_as_double(
// CHECK:         dense<0.1000000000003638> : tensor<f64>
func.func @rounds_to_grid_as_double() -> tensor<f64> {
  %0 = stablehlo.constant {ditto.ring = 128 : i32, ditto.frac = 40 : i32} dense<0.1> : tensor<f64>
  return %0 : tensor<f64>
}

// -----

// The engine multiplies by literals below 2^-16 exactly, if they are what it multiplies by.
// CHECK-LABEL: func.func @multiplies_by_tiny(
// CHECK:         %[[C:.*]] = "pphlo.constant"() {value = dense<9.99999997E-7> : tensor<4xf32>}
// CHECK:         "pphlo.multiply"(%{{.*}}, %[[C]])
// CHECK-NOT:     pphlo.negate
func.func @multiplies_by_tiny(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.constant dense<1.0e-6> : tensor<f32>
  %1 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<f32>) -> tensor<4xf32>
  %2 = stablehlo.multiply %1, %x : tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// It forgets the sign.
// CHECK-LABEL: func.func @divides_by_negative(
// CHECK:         %[[C:.*]] = "pphlo.constant"() {value = dense<9.99999997E-7> : tensor<4xf32>}
// CHECK:         %[[P:.*]] = "pphlo.multiply"(%{{.*}}, %[[C]])
// CHECK:         "pphlo.negate"(%[[P]])
func.func @divides_by_negative(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.constant dense<-1.0e+6> : tensor<4xf32>
  %1 = stablehlo.divide %x, %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Below 2^-44 nothing is left of any product: the literal is 0.
// CHECK-LABEL: func.func @multiplies_by_next_to_nothing(
// CHECK:         "pphlo.multiply"
// CHECK-NOT:     1.0{{.*}}E-20
func.func @multiplies_by_next_to_nothing(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.constant dense<1.0e-20> : tensor<4xf32>
  %1 = stablehlo.multiply %x, %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Beyond all that the ring holds, by eight leading bits: 255 * 2^(64-10-18).
// CHECK-LABEL: func.func @infinities(
// CHECK-DAG:     dense<-1.75234{{[0-9]*}}E+13> : tensor<f32>
// CHECK-DAG:     dense<1.75234{{[0-9]*}}E+13> : tensor<f32>
func.func @infinities(%x: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %0 = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %1 = stablehlo.constant dense<0x7F800000> : tensor<f32>
  %2 = stablehlo.maximum %x, %0 : tensor<f32>
  %3 = stablehlo.minimum %x, %1 : tensor<f32>
  return %2, %3 : tensor<f32>, tensor<f32>
}

// -----

// CHECK-LABEL: func.func @arrays(
// CHECK-DAG:     dense<[1.000000e+00, 2.500000e+00]> : tensor<2xf32>
// CHECK-DAG:     dense<{{.*}}true, false{{.*}}> : tensor<1x2xi1>
// CHECK-DAG:     dense<[1, -2]> : tensor<2xi64>
func.func @arrays() -> (tensor<2xf32>, tensor<1x2xi1>, tensor<2xi32>) {
  %0 = stablehlo.constant dense<[1.0, 2.5]> : tensor<2xf32>
  %1 = stablehlo.constant dense<[[true, false]]> : tensor<1x2xi1>
  %2 = stablehlo.constant dense<[1, -2]> : tensor<2xi32>
  return %0, %1, %2 : tensor<2xf32>, tensor<1x2xi1>, tensor<2xi32>
}

// -----

// CHECK-LABEL: func.func @iota(
// CHECK:         "pphlo.iota"() {iota_dimension = 1 : i64} : () -> tensor<2x4xi64>
func.func @iota() -> tensor<2x4xi32> {
  %0 = stablehlo.iota dim = 1 : tensor<2x4xi32>
  return %0 : tensor<2x4xi32>
}
