// RUN: ditto-opt %s --split-input-file --ditto-choose-functions | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-choose-functions='beside=none' | filecheck %s --check-prefix=ENGINE
// RUN: ditto-opt %s --split-input-file --ditto-choose-functions='margin=1.5' | filecheck %s --check-prefix=MARGIN

// Measured in [-3, 1], so right in [-6, 4] with a margin of 2, or in [-4.5, 2.5] with one of 1.5. What nothing is known
// of falls back; what was measured of its result stays known. Functions that nobody needs any more go.
// CHECK-LABEL: func.func @main(
// CHECK:         "ditto.oneshot"(%arg0) {error = 1.000000e-03 : f64, function = @f, high = 4.000000e+00 : f64, low = -6.000000e+00 : f64, otherwise = @g}
// CHECK-NEXT:    %[[N:.*]] = stablehlo.negate %arg1 {ditto.range = array<f64: -1.000000e+00, 1.000000e+00>}
// CHECK-NEXT:    return %{{.*}}, %[[N]]
// CHECK:       func.func private @f(
// CHECK:       func.func private @g(
// CHECK-NOT:   func.func private @h(
// ENGINE-LABEL: func.func @main(
// ENGINE-NEXT:    %[[N:.*]] = stablehlo.negate %arg0
// ENGINE-NEXT:    %[[M:.*]] = stablehlo.negate %arg1
// ENGINE-NEXT:    return %[[N]], %[[M]]
// ENGINE-NOT:   func.func private
// MARGIN-LABEL: func.func @main(
// MARGIN:         high = 2.500000e+00 : f64, low = -4.500000e+00 : f64
func.func @main(%x: tensor<4xf32> {ditto.range = array<f64: -3.0, 1.0>}, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ditto.oneshot"(%y) {function = @h, otherwise = @g, ditto.range = array<f64: -1.0, 1.0>, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @h(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.cosine %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// What is proved needs no margin, and bounds what was measured.
// CHECK-LABEL: func.func @main(
// CHECK:         "ditto.oneshot"(%0) {error = 1.000000e-03 : f64, function = @f, high = 1.000000e+00 : f64, low = -1.000000e+00 : f64, otherwise = @g}
// CHECK:         "ditto.oneshot"(%{{.*}}) {error = 1.000000e-03 : f64, function = @f, high = 1.000000e+00 : f64, low = -2.500000e-01 : f64, otherwise = @g}
// ENGINE-LABEL: func.func @main(
// ENGINE-NOT:   ditto.oneshot
// MARGIN-LABEL: func.func @main(
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.cosine %x : tensor<4xf32>
  %1 = "ditto.oneshot"(%0) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = stablehlo.sine %x {ditto.range = array<f64: 0.5, 0.75>} : tensor<4xf32>
  %3 = "ditto.oneshot"(%2) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %1, %3 : tensor<4xf32>, tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// 1/x has no value at 0, so positive numbers stay positive: [0.25, 4] is measured. If there may be a 0, there is no
// such function.
// CHECK-LABEL: func.func @main(
// CHECK:         "ditto.oneshot"(%arg0) {error = 1.000000e-03 : f64, function = @inverse, high = 8.000000e+00 : f64, low = 1.250000e-01 : f64, otherwise = @g, relative}
// CHECK:         stablehlo.negate %arg1
// ENGINE-LABEL: func.func @main(
// MARGIN-LABEL: func.func @main(
func.func @main(%x: tensor<4xf32> {ditto.range = array<f64: 0.25, 4.0>}, %y: tensor<4xf32> {ditto.range = array<f64: -0.25, 4.0>}) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = "ditto.oneshot"(%x) {function = @inverse, otherwise = @g, error = 1.0e-3 : f64, relative} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ditto.oneshot"(%y) {function = @inverse, otherwise = @g, error = 1.0e-3 : f64, relative} : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @inverse(%x: tensor<4xf32>) -> tensor<4xf32> {
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %0 = stablehlo.divide %one, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// The program states ranges. The first is believed; more than the second was measured, so a clip goes first; the third
// holds; the fourth has what stands for minus infinity beside numbers.
// CHECK-LABEL: func.func @main(
// CHECK:         "ditto.oneshot"(%arg0) {error = 1.000000e-03 : f64, function = @f, high = 2.000000e+00 : f64, low = -2.000000e+00 : f64, otherwise = @g}
// CHECK-NEXT:    %[[L:.*]] = stablehlo.constant dense<-2.000000e+00>
// CHECK-NEXT:    %[[H:.*]] = stablehlo.constant dense<2.000000e+00>
// CHECK-NEXT:    %[[C:.*]] = stablehlo.clamp %[[L]], %arg1, %[[H]]
// CHECK-NEXT:    "ditto.oneshot"(%[[C]]) {error = 1.000000e-03 : f64, function = @f, high = 2.000000e+00 : f64, low = -2.000000e+00 : f64, otherwise = @g}
// CHECK-NEXT:    %[[S:.*]] = stablehlo.cosine %arg0
// CHECK-NEXT:    "ditto.oneshot"(%[[S]]) {error = 1.000000e-03 : f64, function = @f, high = 2.000000e+00 : f64, low = -2.000000e+00 : f64, otherwise = @g}
// CHECK:         %[[M:.*]] = stablehlo.select
// CHECK:         stablehlo.clamp %{{.*}}, %[[M]], %{{.*}}
// ENGINE-LABEL: func.func @main(
// MARGIN-LABEL: func.func @main(
func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32> {ditto.range = array<f64: -1.0, 2.5>}, %m: tensor<4xi1>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64, low = -2.0 : f64, high = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ditto.oneshot"(%y) {function = @f, otherwise = @g, error = 1.0e-3 : f64, low = -2.0 : f64, high = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = stablehlo.cosine %x : tensor<4xf32>
  %3 = "ditto.oneshot"(%2) {function = @f, otherwise = @g, error = 1.0e-3 : f64, low = -2.0 : f64, high = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %huge = stablehlo.constant dense<-1.0e9> : tensor<4xf32>
  %4 = stablehlo.select %m, %2, %huge : tensor<4xi1>, tensor<4xf32>
  %5 = "ditto.oneshot"(%4) {function = @f, otherwise = @g, error = 1.0e-3 : f64, low = -2.0 : f64, high = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %3, %5 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Of the first, calibration knows that the clip is idle, even with a margin, and of the second that it is not. The third
// is used for something else. If all falls back, clips stay.
// CHECK-LABEL: func.func @main(
// CHECK-NOT:     stablehlo.maximum %arg0
// CHECK:         "ditto.oneshot"(%arg0) {error = 1.000000e-03 : f64, function = @f, high = 7.000000e+00 : f64, low = -1.400000e+01 : f64, otherwise = @g}
// CHECK:         %[[C:.*]] = stablehlo.maximum %arg1
// CHECK-NEXT:    "ditto.oneshot"(%[[C]]) {error = 1.000000e-03 : f64, function = @f, high = 9.000000e+00 : f64, low = -1.600000e+01 : f64, otherwise = @g}
// CHECK:         %[[D:.*]] = stablehlo.clamp %{{.*}}, %arg0, %{{.*}}
// CHECK-NEXT:    "ditto.oneshot"(%[[D]])
// CHECK-NEXT:    return %{{.*}}, %{{.*}}, %{{.*}}, %[[D]]
// ENGINE-LABEL: func.func @main(
// ENGINE:         %[[C:.*]] = stablehlo.maximum %arg0
// ENGINE-NEXT:    stablehlo.negate %[[C]]
// MARGIN-LABEL: func.func @main(
func.func @main(%x: tensor<4xf32> {ditto.range = array<f64: -7.0, 0.0>}, %y: tensor<4xf32> {ditto.range = array<f64: -9.0, 0.0>}) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %lowest = stablehlo.constant dense<-16.0> : tensor<4xf32>
  %most = stablehlo.constant dense<16.0> : tensor<4xf32>
  %0 = stablehlo.maximum %x, %lowest : tensor<4xf32>
  %1 = "ditto.oneshot"(%0) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = stablehlo.maximum %y, %lowest : tensor<4xf32>
  %3 = "ditto.oneshot"(%2) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %4 = stablehlo.clamp %lowest, %x, %most : tensor<4xf32>
  %5 = "ditto.oneshot"(%4) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %1, %3, %5, %4 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// What is public is computed as it is, whatever is known; what is in a branch falls back, for the engine runs it whole.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    stablehlo.tanh %arg0
// CHECK:         "stablehlo.if"
// CHECK:           stablehlo.negate %arg2
// ENGINE-LABEL: func.func @main(
// ENGINE-NEXT:    stablehlo.tanh %arg0
// MARGIN-LABEL: func.func @main(
func.func @main(%x: tensor<4xf32> {ditto.visibility = "public"}, %p: tensor<i1>, %y: tensor<4xf32> {ditto.range = array<f64: -1.0, 1.0>}) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "stablehlo.if"(%p) ({
    %2 = "ditto.oneshot"(%y) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
    stablehlo.return %2 : tensor<4xf32>
  }, {
    stablehlo.return %y : tensor<4xf32>
  }) : (tensor<i1>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// What a function falls back on may hold another, which is decided on too: here it stays, for cosines are small.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %[[C:.*]] = stablehlo.cosine %arg0
// CHECK-NEXT:    "ditto.oneshot"(%[[C]]) {error = 1.000000e-03 : f64, function = @f, high = 1.000000e+00 : f64, low = -1.000000e+00 : f64, otherwise = @g}
// ENGINE-LABEL: func.func @main(
// ENGINE-NEXT:    %[[C:.*]] = stablehlo.cosine %arg0
// ENGINE-NEXT:    stablehlo.negate %[[C]]
// MARGIN-LABEL: func.func @main(
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @outer, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @outer(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.cosine %x : tensor<4xf32>
  %1 = "ditto.oneshot"(%0) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Far from 1, a reciprocal is computed near it: 1/x = 2^-22 / (2^-22 x). What is measured of the result stays its own.
// Another function stays where it is.
// CHECK-LABEL: func.func @main(
// CHECK:         %[[FACTOR:.*]] = stablehlo.constant dense<2.38418579E-7> : tensor<4xf32>
// CHECK:         %[[NEAR:.*]] = stablehlo.multiply %arg0, %[[FACTOR]]
// CHECK:         %[[BACK:.*]] = stablehlo.constant dense<2.38418579E-7> : tensor<4xf32>
// CHECK:         %[[Y:.*]] = "ditto.oneshot"(%[[NEAR]]) {ditto.range = array<f64: 1.000000e+00, 2.000000e+00>, {{.*}} high = 2.000000e+00 : f64, low = 2.500000e-01 : f64
// CHECK:         %[[R:.*]] = stablehlo.multiply %[[Y]], %[[BACK]] {ditto.max_abs = 9.54627{{.*}}E-7 : f64, ditto.range = array<f64: 2.384185791015625E-7, 4.76837158203125E-7>}
// CHECK:         %[[Z:.*]] = "ditto.oneshot"(%arg1) {{{.*}}function = @near{{.*}}relative}
// CHECK:         return %[[R]], %[[Z]]
func.func @main(%x: tensor<4xf32> {ditto.range = array<f64: 2097152.0, 4194304.0>}, %y: tensor<4xf32> {ditto.range = array<f64: 131072.0, 262144.0>}) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = "ditto.oneshot"(%x) {function = @inverse, otherwise = @inverse, ditto.range = array<f64: 2.384185791015625e-7, 4.76837158203125e-7>, error = 1.0e-3 : f64, relative} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ditto.oneshot"(%y) {function = @near, otherwise = @near, error = 1.0e-3 : f64, relative} : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @inverse(%x: tensor<4xf32>) -> tensor<4xf32> {
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %0 = stablehlo.divide %one, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @near(%x: tensor<4xf32>) -> tensor<4xf32> {
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %more = stablehlo.constant dense<1.0e5> : tensor<4xf32>
  %0 = stablehlo.add %x, %more : tensor<4xf32>
  %1 = stablehlo.divide %one, %0 : tensor<4xf32>
  %2 = stablehlo.add %1, %one : tensor<4xf32>
  return %2 : tensor<4xf32>
}
