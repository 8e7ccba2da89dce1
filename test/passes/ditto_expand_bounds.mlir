// RUN: ditto-opt %s --split-input-file --ditto-expand-bounds | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-expand-bounds='margin=1 most=0' | filecheck %s --check-prefix=TIGHT

// Maxima from 1 to 2.5, once the slack of 2 is taken off, so from 1/2 to 5 with the margin: two thresholds a
// third of that apart. Each number is compared to a sixteenth of the slack, and the bound is above by as much.
// CHECK-LABEL: func.func @rows(
// CHECK-DAG:     %[[FIRST:.*]] = stablehlo.constant dense<2.125000e+00> : tensor<4xf32>
// CHECK-DAG:     %[[T1:.*]] = stablehlo.constant dense<2.000000e+00> : tensor<4x8xf32>
// CHECK:         %[[C1:.*]] = stablehlo.compare GE, %arg0, %[[T1]], FLOAT {ditto.slack = 1.250000e-01 : f64}
// CHECK:         %[[A1:.*]] = stablehlo.reduce(%[[C1]] {{.*}} stablehlo.or across dimensions = [1]
// CHECK-NEXT:    %[[N1:.*]] = stablehlo.convert %[[A1]] : (tensor<4xi1>) -> tensor<4xf32>
// CHECK-NEXT:    %[[STEP:.*]] = stablehlo.constant dense<1.500000e+00> : tensor<4xf32>
// CHECK-NEXT:    %[[S1:.*]] = stablehlo.multiply %[[N1]], %[[STEP]]
// CHECK-NEXT:    %[[B1:.*]] = stablehlo.add %[[FIRST]], %[[S1]]
// CHECK-NEXT:    %[[T2:.*]] = stablehlo.constant dense<3.500000e+00> : tensor<4x8xf32>
// CHECK-NEXT:    stablehlo.compare GE, %arg0, %[[T2]]
// CHECK:         %[[B2:.*]] = stablehlo.add %[[B1]], %{{.*}}
// CHECK-NEXT:    return %[[B2]]
// Without a margin, maxima from 1 to 2.5 are all within the slack of a constant.
// TIGHT-LABEL: func.func @rows(
// TIGHT-NEXT:    %{{.*}} = stablehlo.constant dense<0xFF800000>
// TIGHT-NEXT:    %[[B:.*]] = stablehlo.constant dense<2.625000e+00> : tensor<4xf32>
// TIGHT-NEXT:    return %[[B]]
func.func @rows(%x: tensor<4x8xf32>) -> tensor<4xf32> {
  %l = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %l) applies stablehlo.maximum across dimensions = [1] {ditto.slack = 2.0 : f64, ditto.range = array<f64: 1.0, 4.5>} : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// 25 thresholds would cost more than a tournament.
// CHECK-LABEL: func.func @many(
// CHECK:         stablehlo.reduce(%arg0 {{.*}} stablehlo.maximum
// CHECK-NOT:     stablehlo.compare
func.func @many(%x: tensor<4x8xf32>) -> tensor<4xf32> {
  %l = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %l) applies stablehlo.maximum across dimensions = [1] {ditto.slack = 2.0 : f64, ditto.range = array<f64: -23.0, 24.0>} : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Nothing is known of the maxima; one is exact; one is public. A comparison may be loose as well.
// CHECK-LABEL: func.func @others(
// CHECK-COUNT-3: stablehlo.maximum
// CHECK:         stablehlo.compare GE, %arg0, %arg1, FLOAT {ditto.range = array<f64: 0.000000e+00, 1.000000e+00>, ditto.slack
// CHECK-NOT:     stablehlo.compare
func.func @others(%x: tensor<4x8xf32>, %p: tensor<4x8xf32> {ditto.visibility = "public"}) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x8xi1>) {
  %l = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %l) applies stablehlo.maximum across dimensions = [1] {ditto.slack = 2.0 : f64} : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>
  %1 = stablehlo.reduce(%x init: %l) applies stablehlo.maximum across dimensions = [1] {ditto.range = array<f64: 1.0, 4.5>} : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>
  %2 = stablehlo.reduce(%p init: %l) applies stablehlo.maximum across dimensions = [1] {ditto.slack = 2.0 : f64, ditto.range = array<f64: 1.0, 4.5>} : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>
  %3 = stablehlo.compare GE, %x, %p, FLOAT {ditto.slack = 2.0 : f64, ditto.range = array<f64: 0.0, 1.0>} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xi1>
  return %0, %1, %2, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x8xi1>
}
