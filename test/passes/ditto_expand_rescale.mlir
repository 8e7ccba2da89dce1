// RUN: ditto-opt %s --split-input-file --ditto-expand-rescale | filecheck %s

// CHECK:       module attributes {ditto.explicit_rescale, ditto.stage = "cast"}
// CHECK-LABEL: func.func @multiply(
// CHECK-NEXT:    %[[P:.*]] = stablehlo.multiply %arg0, %arg1 {{.*}} -> tensor<4xf32, #ditto.fxp<64, 36>>
// CHECK-NEXT:    %[[R:.*]] = "ditto.rescale"(%[[P]]) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    return %[[R]]
module attributes {ditto.stage = "cast"} {
  func.func @multiply(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @dot_general(
// CHECK:         %[[P:.*]] = stablehlo.dot_general {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 20>>
// CHECK-NEXT:    "ditto.rescale"(%[[P]]) {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 10>>
module attributes {ditto.stage = "cast"} {
  func.func @dot_general(%x: tensor<2x8xf32, #ditto.fxp<32, 10>>, %w: tensor<8x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32, #ditto.fxp<32, 10>>, tensor<8x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<2x4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// A quotient by a constant is a product with its reciprocal.
// CHECK-LABEL: func.func @divide_by_constant(
// CHECK:         %[[C:.*]] = stablehlo.constant dense<2.500000e-01>
// CHECK:         stablehlo.multiply %arg0, %[[C]] {{.*}} -> tensor<4xf32, #ditto.fxp<64, 36>>
module attributes {ditto.stage = "cast"} {
  func.func @divide_by_constant(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<4.0> : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.divide %x, %c : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @divide_by_a_secret_stays(
// CHECK-NEXT:    stablehlo.divide %arg0, %arg1 : tensor<4xf32, #ditto.fxp<64, 18>>
module attributes {ditto.stage = "cast"} {
  func.func @divide_by_a_secret_stays(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.divide %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @booleans_have_no_fraction(
// CHECK-NEXT:    %[[C:.*]] = stablehlo.convert %arg0 {{.*}} -> tensor<4xf32, #ditto.fxp<64, 0>>
// CHECK-NEXT:    "ditto.rescale"(%[[C]]) {{.*}} -> tensor<4xf32, #ditto.fxp<64, 18>>
module attributes {ditto.stage = "cast"} {
  func.func @booleans_have_no_fraction(%p: tensor<4xi1, #ditto.int<64>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.convert %p : (tensor<4xi1, #ditto.int<64>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @integer_products_and_sums_stay(
// CHECK-NOT:     ditto.rescale
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @integer_products_and_sums_stay(%i: tensor<4xi32, #ditto.int<64>>, %x: tensor<4xf32, #ditto.fxp<64, 18>>) -> (tensor<4xi32, #ditto.int<64>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.multiply %i, %i : tensor<4xi32, #ditto.int<64>>
    %1 = stablehlo.add %x, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0, %1 : tensor<4xi32, #ditto.int<64>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A loop runs whole in one region, where the engine truncates.
// CHECK-LABEL: func.func @loops_stay(
// CHECK:         stablehlo.multiply %{{.*}}, %{{.*}} : tensor<f32, #ditto.fxp<64, 18>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.stage = "cast"} {
  func.func @loops_stay(%x: tensor<f32, #ditto.fxp<64, 18>>) -> tensor<f32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<0> : tensor<i32, #ditto.int<64>>
    %0:2 = stablehlo.while(%i = %c, %a = %x) : tensor<i32, #ditto.int<64>>, tensor<f32, #ditto.fxp<64, 18>>
     cond {
      %n = stablehlo.constant dense<3> : tensor<i32, #ditto.int<64>>
      %p = stablehlo.compare LT, %i, %n : (tensor<i32, #ditto.int<64>>, tensor<i32, #ditto.int<64>>) -> tensor<i1, #ditto.int<64>>
      stablehlo.return %p : tensor<i1, #ditto.int<64>>
    } do {
      %one = stablehlo.constant dense<1> : tensor<i32, #ditto.int<64>>
      %j = stablehlo.add %i, %one : tensor<i32, #ditto.int<64>>
      %b = stablehlo.multiply %a, %a : tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %j, %b : tensor<i32, #ditto.int<64>>, tensor<f32, #ditto.fxp<64, 18>>
    }
    return %0#1 : tensor<f32, #ditto.fxp<64, 18>>
  }
}
