// RUN: ditto-opt %s --split-input-file --ditto-unroll-loops | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-unroll-loops=max-ops=4 | filecheck %s --check-prefix=SMALL

// A counter becomes a constant in each trip, also where it is a result.
// CHECK-LABEL: func.func @counted(
// CHECK-NOT:     stablehlo.while
// CHECK:         stablehlo.constant dense<1> : tensor<i32>
// CHECK-NEXT:    %[[I0:.*]] = stablehlo.constant dense<0> : tensor<i32>
// CHECK-NEXT:    %[[S0:.*]] = stablehlo.dynamic_slice %arg1, %[[I0]]
// CHECK-NEXT:    %[[Y0:.*]] = stablehlo.multiply %arg0, %[[S0]]
// CHECK:         %[[I1:.*]] = stablehlo.constant dense<1> : tensor<i32>
// CHECK-NEXT:    %[[S1:.*]] = stablehlo.dynamic_slice %arg1, %[[I1]]
// CHECK-NEXT:    %[[Y1:.*]] = stablehlo.multiply %[[Y0]], %[[S1]]
// CHECK-NEXT:    %[[I2:.*]] = stablehlo.add %[[I1]], %{{.*}}
// CHECK-NEXT:    return %[[I2]], %[[Y1]]
// SMALL-LABEL: func.func @counted(
// SMALL:         stablehlo.while
func.func @counted(%x: tensor<1xf32>, %table: tensor<5xf32>) -> (tensor<i32>, tensor<1xf32>) {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %0:2 = stablehlo.while(%i = %zero, %y = %x) : tensor<i32>, tensor<1xf32>
   cond {
    %two = stablehlo.constant dense<2> : tensor<i32>
    %1 = stablehlo.compare LT, %i, %two : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.dynamic_slice %table, %i, sizes = [1] : (tensor<5xf32>, tensor<i32>) -> tensor<1xf32>
    %2 = stablehlo.multiply %y, %1 : tensor<1xf32>
    %3 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %3, %2 : tensor<i32>, tensor<1xf32>
  }
  return %0#0, %0#1 : tensor<i32>, tensor<1xf32>
}

// -----

// Downwards in steps of 2, to a bound that the loop carries: 5, 3, 1. Values that trade places do.
// CHECK-LABEL: func.func @downwards(
// CHECK-NOT:     stablehlo.while
// CHECK-COUNT-3: stablehlo.negate
// CHECK-NOT:     stablehlo.negate
// CHECK:         return
func.func @downwards(%x: tensor<f32>, %y: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %last = stablehlo.constant dense<1> : tensor<i8>
  %five = stablehlo.constant dense<5> : tensor<i8>
  %step = stablehlo.constant dense<2> : tensor<i8>
  %0:4 = stablehlo.while(%i = %five, %bound = %last, %a = %x, %b = %y) : tensor<i8>, tensor<i8>, tensor<f32>, tensor<f32>
   cond {
    %1 = stablehlo.compare LE, %bound, %i : (tensor<i8>, tensor<i8>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.subtract %i, %step : tensor<i8>
    %2 = stablehlo.negate %a : tensor<f32>
    stablehlo.return %1, %bound, %b, %2 : tensor<i8>, tensor<i8>, tensor<f32>, tensor<f32>
  }
  return %0#2, %0#3 : tensor<f32>, tensor<f32>
}

// -----

// No trip at all: what goes in comes out.
// CHECK-LABEL: func.func @none(
// CHECK-NOT:     stablehlo.while
// CHECK:         return %arg0
func.func @none(%x: tensor<f32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0> : tensor<ui32>
  %one = stablehlo.constant dense<1> : tensor<ui32>
  %0:2 = stablehlo.while(%i = %zero, %y = %x) : tensor<ui32>, tensor<f32>
   cond {
    %1 = stablehlo.compare GT, %i, %zero : (tensor<ui32>, tensor<ui32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.add %one, %i : tensor<ui32>
    %2 = stablehlo.negate %y : tensor<f32>
    stablehlo.return %1, %2 : tensor<ui32>, tensor<f32>
  }
  return %0#1 : tensor<f32>
}

// -----

// An inner loop that begins at the outer one's counter: 2 + 1 trips.
// CHECK-LABEL: func.func @nested(
// CHECK-NOT:     stablehlo.while
// CHECK-COUNT-3: stablehlo.negate
// CHECK-NOT:     stablehlo.negate
// CHECK:         return
func.func @nested(%x: tensor<f32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %two = stablehlo.constant dense<2> : tensor<i32>
  %0:2 = stablehlo.while(%i = %zero, %y = %x) : tensor<i32>, tensor<f32>
   cond {
    %1 = stablehlo.compare LT, %i, %two : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1:2 = stablehlo.while(%j = %i, %z = %y) : tensor<i32>, tensor<f32>
     cond {
      %2 = stablehlo.compare LT, %j, %two : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %2 : tensor<i1>
    } do {
      %2 = stablehlo.add %j, %one : tensor<i32>
      %3 = stablehlo.negate %z : tensor<f32>
      stablehlo.return %2, %3 : tensor<i32>, tensor<f32>
    }
    %2 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %2, %1#1 : tensor<i32>, tensor<f32>
  }
  return %0#1 : tensor<f32>
}

// -----

// What only running shows, stays: a bound that is an argument, a counter that grows by itself, one that never ends.
// CHECK-LABEL: func.func @stay(
// CHECK-COUNT-3: stablehlo.while
func.func @stay(%x: tensor<i32>, %n: tensor<i32> {ditto.visibility = "public"}) -> (tensor<i32>, tensor<i32>, tensor<i32>) {
  %one = stablehlo.constant dense<1> : tensor<i32>
  %0 = stablehlo.while(%i = %one) : tensor<i32>
   cond {
    %1 = stablehlo.compare LT, %i, %n : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %1 : tensor<i32>
  }
  %2 = stablehlo.while(%i = %one) : tensor<i32>
   cond {
    %ten = stablehlo.constant dense<10> : tensor<i32>
    %3 = stablehlo.compare LT, %i, %ten : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %3 : tensor<i1>
  } do {
    %3 = stablehlo.add %i, %i : tensor<i32>
    stablehlo.return %3 : tensor<i32>
  }
  %4 = stablehlo.while(%i = %one) : tensor<i32>
   cond {
    %5 = stablehlo.compare GE, %i, %i : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %5 : tensor<i1>
  } do {
    %5 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %5 : tensor<i32>
  }
  return %0, %2, %4 : tensor<i32>, tensor<i32>, tensor<i32>
}
