// RUN: ditto-opt %s --split-input-file --ditto-expand-reductions | filecheck %s

// Halves along the first axis; who has no opponent waits.
// CHECK-LABEL: func.func @maximum(
// CHECK:         %[[T:.*]] = stablehlo.transpose %arg0, dims = [1, 0] : {{.*}} -> tensor<3x2xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    %[[A:.*]] = stablehlo.slice %[[T]] [0:1, 0:2]
// CHECK-NEXT:    %[[B:.*]] = stablehlo.slice %[[T]] [1:2, 0:2]
// CHECK-NEXT:    %[[M:.*]] = stablehlo.maximum %[[A]], %[[B]] : tensor<1x2xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    %[[O:.*]] = stablehlo.slice %[[T]] [2:3, 0:2]
// CHECK-NEXT:    %[[J:.*]] = stablehlo.concatenate %[[M]], %[[O]], dim = 0 : {{.*}} -> tensor<2x2xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    %[[C:.*]] = stablehlo.slice %[[J]] [0:1, 0:2]
// CHECK-NEXT:    %[[D:.*]] = stablehlo.slice %[[J]] [1:2, 0:2]
// CHECK-NEXT:    %[[N:.*]] = stablehlo.maximum %[[C]], %[[D]]
// CHECK-NEXT:    %[[R:.*]] = stablehlo.reshape %[[N]] : {{.*}} -> tensor<2xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    return %[[R]]
module attributes {ditto.stage = "cast"} {
  func.func @maximum(%x: tensor<2x3xf32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<32, 10>> {
    %least = stablehlo.constant dense<0xFF800000> : tensor<f32, #ditto.fxp<32, 10>>
    %0 = stablehlo.reduce(%x init: %least) across dimensions = [1] : (tensor<2x3xf32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<32, 10>>
      reducer(%a: tensor<f32, #ditto.fxp<32, 10>>, %b: tensor<f32, #ditto.fxp<32, 10>>) {
      %best = stablehlo.maximum %a, %b : tensor<f32, #ditto.fxp<32, 10>>
      stablehlo.return %best : tensor<f32, #ditto.fxp<32, 10>>
    }
    return %0 : tensor<2xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Several axes, the first among them, are one; a reduction of one element moves it; loops too.
// CHECK-LABEL: func.func @shapes(
// CHECK:         stablehlo.reshape %arg0 : (tensor<2x1x3xf32, #ditto.fxp<64, 18>>) -> tensor<2x3xf32, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.minimum {{.*}} : tensor<1x3xf32, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.while
// CHECK-NOT:     stablehlo.reduce
// CHECK:         stablehlo.transpose %iterArg, dims = [1, 0, 2] : {{.*}} -> tensor<1x2x3xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.reshape {{.*}} -> tensor<1x6xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.reshape {{.*}} -> tensor<2x3xf32, #ditto.fxp<64, 18>>
module attributes {ditto.stage = "cast"} {
  func.func @shapes(%x: tensor<2x1x3xf32, #ditto.fxp<64, 18>>) -> (tensor<3xf32, #ditto.fxp<64, 18>>, tensor<2x1x3xf32, #ditto.fxp<64, 18>>) {
    %least = stablehlo.constant dense<0xFF800000> : tensor<f32, #ditto.fxp<64, 18>>
    %most = stablehlo.constant dense<0x7F800000> : tensor<f32, #ditto.fxp<64, 18>>
    %0 = stablehlo.reduce(%x init: %most) across dimensions = [0, 1] : (tensor<2x1x3xf32, #ditto.fxp<64, 18>>, tensor<f32, #ditto.fxp<64, 18>>) -> tensor<3xf32, #ditto.fxp<64, 18>>
      reducer(%a: tensor<f32, #ditto.fxp<64, 18>>, %b: tensor<f32, #ditto.fxp<64, 18>>) {
      %best = stablehlo.minimum %a, %b : tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %best : tensor<f32, #ditto.fxp<64, 18>>
    }
    %1 = stablehlo.while(%y = %x) : tensor<2x1x3xf32, #ditto.fxp<64, 18>>
    cond {
      %f = stablehlo.constant dense<false> : tensor<i1, #ditto.int<64>>
      stablehlo.return %f : tensor<i1, #ditto.int<64>>
    } do {
      %2 = stablehlo.reduce(%y init: %least) across dimensions = [1] : (tensor<2x1x3xf32, #ditto.fxp<64, 18>>, tensor<f32, #ditto.fxp<64, 18>>) -> tensor<2x3xf32, #ditto.fxp<64, 18>>
        reducer(%a: tensor<f32, #ditto.fxp<64, 18>>, %b: tensor<f32, #ditto.fxp<64, 18>>) {
        %best = stablehlo.maximum %a, %b : tensor<f32, #ditto.fxp<64, 18>>
        stablehlo.return %best : tensor<f32, #ditto.fxp<64, 18>>
      }
      %3 = stablehlo.reshape %2 : (tensor<2x3xf32, #ditto.fxp<64, 18>>) -> tensor<2x1x3xf32, #ditto.fxp<64, 18>>
      stablehlo.return %3 : tensor<2x1x3xf32, #ditto.fxp<64, 18>>
    }
    return %0, %1 : tensor<3xf32, #ditto.fxp<64, 18>>, tensor<2x1x3xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Public values, integers and sums are left alone; of no elements, the initial value is left.
// CHECK-LABEL: func.func @left_alone(
// CHECK-COUNT-3: stablehlo.reduce(
// CHECK-NOT:     stablehlo.reduce(
// CHECK:         %[[E:.*]] = stablehlo.broadcast_in_dim %cst, dims = []
// CHECK:         return %{{.*}}, %{{.*}}, %{{.*}}, %[[E]] :
module attributes {ditto.stage = "cast"} {
  func.func @left_alone(%p: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.visibility = "public"}, %i: tensor<4xi32, #ditto.int<32>>, %x: tensor<4xf32, #ditto.fxp<32, 10>>, %e: tensor<0x2xf32, #ditto.fxp<32, 10>>) -> (tensor<f32, #ditto.fxp<32, 10>>, tensor<i32, #ditto.int<32>>, tensor<f32, #ditto.fxp<32, 10>>, tensor<2xf32, #ditto.fxp<32, 10>>) {
    %least = stablehlo.constant dense<0xFF800000> : tensor<f32, #ditto.fxp<32, 10>>
    %zero = stablehlo.constant dense<0.0> : tensor<f32, #ditto.fxp<32, 10>>
    %smallest = stablehlo.constant dense<-2147483648> : tensor<i32, #ditto.int<32>>
    %0 = stablehlo.reduce(%p init: %least) across dimensions = [0] : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<f32, #ditto.fxp<32, 10>>
      reducer(%a: tensor<f32, #ditto.fxp<32, 10>>, %b: tensor<f32, #ditto.fxp<32, 10>>) {
      %best = stablehlo.maximum %a, %b : tensor<f32, #ditto.fxp<32, 10>>
      stablehlo.return %best : tensor<f32, #ditto.fxp<32, 10>>
    }
    %1 = stablehlo.reduce(%i init: %smallest) across dimensions = [0] : (tensor<4xi32, #ditto.int<32>>, tensor<i32, #ditto.int<32>>) -> tensor<i32, #ditto.int<32>>
      reducer(%a: tensor<i32, #ditto.int<32>>, %b: tensor<i32, #ditto.int<32>>) {
      %best = stablehlo.maximum %a, %b : tensor<i32, #ditto.int<32>>
      stablehlo.return %best : tensor<i32, #ditto.int<32>>
    }
    %2 = stablehlo.reduce(%x init: %zero) across dimensions = [0] : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<f32, #ditto.fxp<32, 10>>
      reducer(%a: tensor<f32, #ditto.fxp<32, 10>>, %b: tensor<f32, #ditto.fxp<32, 10>>) {
      %sum = stablehlo.add %a, %b : tensor<f32, #ditto.fxp<32, 10>>
      stablehlo.return %sum : tensor<f32, #ditto.fxp<32, 10>>
    }
    %3 = stablehlo.reduce(%e init: %least) across dimensions = [0] : (tensor<0x2xf32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<32, 10>>
      reducer(%a: tensor<f32, #ditto.fxp<32, 10>>, %b: tensor<f32, #ditto.fxp<32, 10>>) {
      %best = stablehlo.maximum %a, %b : tensor<f32, #ditto.fxp<32, 10>>
      stablehlo.return %best : tensor<f32, #ditto.fxp<32, 10>>
    }
    return %0, %1, %2, %3 : tensor<f32, #ditto.fxp<32, 10>>, tensor<i32, #ditto.int<32>>, tensor<f32, #ditto.fxp<32, 10>>, tensor<2xf32, #ditto.fxp<32, 10>>
  }
}
