// RUN: ditto-opt --split-input-file --ditto-print-ranges %s | filecheck %s

// CHECK-LABEL: @main
// CHECK-SAME:    %arg0: tensor<4x4xf32> {ditto.known_range = "[-inf, inf]"}
// CHECK-SAME:    %arg1: tensor<4x4xf32> {ditto.known_range = "[-2, 3]", ditto.range = array<f64: -2.000000e+00, 3.000000e+00>}
// CHECK-SAME:    %arg2: tensor<4xi8> {ditto.known_range = "[-128, 127]"}
func.func @main(%x: tensor<4x4xf32>, %y: tensor<4x4xf32> {ditto.range = array<f64: -2.0, 3.0>}, %i: tensor<4xi8>,
                %p: tensor<4x4xi1>) -> tensor<4x4xf32> {
  %least = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %mask = stablehlo.constant dense<-1.0e9> : tensor<4x4xf32>
  %max = stablehlo.reduce(%x init: %least) applies stablehlo.maximum across dimensions = [1] : (tensor<4x4xf32>, tensor<f32>) -> tensor<4xf32>

  // A row's own maximum is not below any element of it; another row's may be, and the shapes are the same.
  // CHECK: stablehlo.subtract %arg0, {{.*}} {ditto.known_range = "[-inf, 0]"}
  // CHECK: stablehlo.subtract %arg0, {{.*}} {ditto.known_range = "[-inf, inf]"}
  %rows = stablehlo.broadcast_in_dim %max, dims = [0] : (tensor<4xf32>) -> tensor<4x4xf32>
  %columns = stablehlo.broadcast_in_dim %max, dims = [1] : (tensor<4xf32>) -> tensor<4x4xf32>
  %below = stablehlo.subtract %x, %rows : tensor<4x4xf32>
  %any = stablehlo.subtract %x, %columns : tensor<4x4xf32>

  // CHECK: stablehlo.exponential {{.*}} {ditto.known_range = "[0, 1]"}
  // CHECK: stablehlo.reduce({{.*}} {ditto.known_range = "[1, 4]"}
  // CHECK: stablehlo.divide {{.*}} {ditto.known_range = "[0, 1]"}
  %e = stablehlo.exponential %below : tensor<4x4xf32>
  %s = stablehlo.reduce(%e init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf32>, tensor<f32>) -> tensor<4xf32>
  %spread = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<4xf32>) -> tensor<4x4xf32>
  %softmax = stablehlo.divide %e, %spread : tensor<4x4xf32>

  // What stands for infinity is kept apart from the numbers beside it.
  // CHECK: stablehlo.select {{.*}} {ditto.known_range = "[-2, 3] | below"}
  // CHECK: stablehlo.exponential {{.*}} {ditto.known_range = "[0, 20.0855]"}
  // CHECK: stablehlo.log {{.*}} {ditto.known_range = "[-inf, 1.09861] | nan"}
  %scores = stablehlo.select %p, %y, %mask : tensor<4x4xi1>, tensor<4x4xf32>
  %weights = stablehlo.exponential %scores : tensor<4x4xf32>
  %log = stablehlo.log %y : tensor<4x4xf32>

  // Windows hold the initial value where they reach into the padding.
  // CHECK: "stablehlo.reduce_window"
  // CHECK: {ditto.known_range = "[0, 2]"}
  %window = "stablehlo.reduce_window"(%softmax, %zero) <{window_dimensions = array<i64: 2, 1>, padding = dense<[[1, 0], [0, 0]]> : tensor<2x2xi64>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %sum = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %sum : tensor<f32>
  }) : (tensor<4x4xf32>, tensor<f32>) -> tensor<4x4xf32>

  // Integers wrap around at their width.
  // CHECK: stablehlo.add {{.*}} {ditto.known_range = "[-128, 127]"}
  // CHECK: stablehlo.convert {{.*}} {ditto.known_range = "[-128, 127]"}
  // CHECK: stablehlo.add {{.*}} {ditto.known_range = "[-256, 254]"}
  %wrapped = stablehlo.add %i, %i : tensor<4xi8>
  %wide = stablehlo.convert %i : (tensor<4xi8>) -> tensor<4xi32>
  %sum = stablehlo.add %wide, %wide : tensor<4xi32>
  return %window : tensor<4x4xf32>
}

// -----

// A loop's counter stays within the loop's bounds, and a value that shrinks comes to a fixed point.
// CHECK-LABEL: @loops
// CHECK:         stablehlo.while
// CHECK-SAME:      attributes {ditto.known_range = ["[0, 10]", "[-3, 3]", "[-inf, inf]"]}
// CHECK:           stablehlo.compare LT, {{.*}} {ditto.known_range = "[0, 1]"}
// CHECK:           stablehlo.add {{.*}} {ditto.known_range = "[1, 10]"}
func.func @loops(%x: tensor<4xf32> {ditto.range = array<f64: -3.0, 3.0>}, %y: tensor<4xf32>) -> tensor<4xf32> {
  %start = stablehlo.constant dense<0> : tensor<i32>
  %end = stablehlo.constant dense<10> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %ones = stablehlo.constant dense<1.0> : tensor<4xf32>
  %0:3 = stablehlo.while(%i = %start, %a = %x, %b = %y) : tensor<i32>, tensor<4xf32>, tensor<4xf32>
   cond {
    %c = stablehlo.compare LT, %i, %end : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %c : tensor<i1>
  } do {
    %next = stablehlo.add %i, %one : tensor<i32>
    %less = stablehlo.multiply %a, %half : tensor<4xf32>
    %more = stablehlo.add %less, %ones : tensor<4xf32>
    %sum = stablehlo.add %b, %a : tensor<4xf32>
    stablehlo.return %next, %more, %sum : tensor<i32>, tensor<4xf32>, tensor<4xf32>
  }
  return %0#1 : tensor<4xf32>
}

// -----

// A called function is analysed for each call; what is written down holds for all of them.
// CHECK-LABEL: @main
// CHECK:         call @double({{.*}}) {ditto.known_range = "[-2, 2]"}
// CHECK:         call @double({{.*}}) {ditto.known_range = "[0, 6]"}
// CHECK:       func.func private @double(%arg0: tensor<4xf32> {ditto.known_range = "[-1, 3]"})
// CHECK:         stablehlo.add %arg0, %arg0 {ditto.known_range = "[-2, 6]"}
func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32> {ditto.range = array<f64: 0.0, 3.0>}) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  %1 = func.call @double(%0) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = func.call @double(%y) : (tensor<4xf32>) -> tensor<4xf32>
  return %1, %2 : tensor<4xf32>, tensor<4xf32>
}
func.func private @double(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A one-shot function has the image of its argument, for each of its uses.
// CHECK-LABEL: func.func @oneshot(
// CHECK:         "ditto.oneshot"(%arg0) {ditto.known_range = "[-1, 1]"
// CHECK:         "ditto.oneshot"(%{{.*}}) {ditto.known_range = "[-0.761594, 0.761594]"
func.func @oneshot(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @f, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ditto.oneshot"(%0) {function = @f, otherwise = @f, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A maximum with slack may be larger by that; of what it is taken from nothing is positive, and one term of the sum is
// exp(-2) at least. Not so if the maximum is that of columns.
// CHECK-LABEL: func.func @row_bound(
// CHECK:         stablehlo.reduce{{.*}} {ditto.known_range = "[0, 6]"
// CHECK:         stablehlo.subtract {{.*}} {ditto.known_range = "[-6, 0]"}
// CHECK:         stablehlo.maximum {{.*}} {ditto.known_range = "[-5, 0]"}
// CHECK:         "ditto.oneshot"{{.*}} {ditto.known_range = "[0.00673795, 1]"
// CHECK:         stablehlo.reduce{{.*}} {ditto.known_range = "[0.135335, 8]"
// CHECK:         stablehlo.reduce{{.*}} {ditto.known_range = "[0.0539036, 8]"
func.func @row_bound(%x: tensor<8x8xf32> {ditto.range = array<f64: 0.0, 4.0>}) -> (tensor<8xf32>, tensor<8xf32>) {
  %low = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %lowest = stablehlo.constant dense<-5.0> : tensor<8x8xf32>
  %0 = stablehlo.reduce(%x init: %low) applies stablehlo.maximum across dimensions = [1] {ditto.slack = 2.0 : f64} : (tensor<8x8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<8xf32>) -> tensor<8x8xf32>
  %2 = stablehlo.subtract %x, %1 : tensor<8x8xf32>
  %3 = stablehlo.maximum %2, %lowest : tensor<8x8xf32>
  %4 = "ditto.oneshot"(%3) {function = @exp, otherwise = @exp, error = 1.0e-6 : f64} : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %5 = stablehlo.reduce(%4 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<8x8xf32>, tensor<f32>) -> tensor<8xf32>
  %6 = stablehlo.reduce(%4 init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<8x8xf32>, tensor<f32>) -> tensor<8xf32>
  return %5, %6 : tensor<8xf32>, tensor<8xf32>
}
func.func private @exp(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = stablehlo.exponential %x : tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
