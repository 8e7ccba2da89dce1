// RUN: ditto-opt %s --split-input-file --ditto-assign-fractions | filecheck %s

// |x @ w| <= 15 leaves 30 - 1 - 4 = 25 bits in ring 32, less 10 of x; |w| <= 0.5 is worth 13, so 16 if there were room.
// CHECK-LABEL: func.func @weights_get_what_the_product_leaves(
// CHECK:         %[[W:.*]] = "ditto.rescale"(%arg1) {{.*}} -> tensor<8x4xf32, #ditto.fxp<32, 15>>
// CHECK-NEXT:    %[[P:.*]] = stablehlo.dot_general %{{.*}}, %[[W]], {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 25>>
// CHECK-NEXT:    "ditto.rescale"(%[[P]]) {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 10>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @weights_get_what_the_product_leaves(%x: tensor<2x8xf32, #ditto.fxp<32, 10>>, %w: tensor<8x4xf32, #ditto.fxp<32, 10>> {ditto.max_abs = 0.5 : f64}) -> tensor<2x4xf32, #ditto.fxp<32, 10>> {
    %e = stablehlo.floor %x : tensor<2x8xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.dot_general %e, %w, contracting_dims = [1] x [0] {ditto.max_abs = 15.0 : f64} : (tensor<2x8xf32, #ditto.fxp<32, 10>>, tensor<8x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<32, 20>>
    %1 = "ditto.rescale"(%0) : (tensor<2x4xf32, #ditto.fxp<32, 20>>) -> tensor<2x4xf32, #ditto.fxp<32, 10>>
    return %1 : tensor<2x4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// 1/8 is 1 * 2^-3: the product has three more bits, and no bit of it has to be dropped.
// CHECK-LABEL: func.func @powers_of_two_need_no_bits(
// CHECK:         %[[C:.*]] = "ditto.rescale"(%{{.*}}) {{.*}} -> tensor<4xf32, #ditto.fxp<64, 3>>
// CHECK-NEXT:    stablehlo.multiply %{{.*}}, %[[C]] {{.*}} -> tensor<4xf32, #ditto.fxp<64, 21>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @powers_of_two_need_no_bits(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<0.125> : tensor<4xf32, #ditto.fxp<64, 18>>
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %c : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Twelve bits of a constant near 0.7 are worth sending for; they come in whole bytes.
// CHECK-LABEL: func.func @other_constants_get_whole_bytes(
// CHECK:         "ditto.rescale"(%{{.*}}) {{.*}} -> tensor<4xf32, #ditto.fxp<64, 16>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @other_constants_get_whole_bytes(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<0.70710678> : tensor<4xf32, #ditto.fxp<64, 18>>
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %c : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Of a table, the smallest number counts too: 2^-17 would be lost with the bits that 2^16 needs.
// CHECK-LABEL: func.func @tables_keep_the_bits_of_the_policy(
// CHECK:         "ditto.rescale"(%{{.*}}) {{.*}} -> tensor<2xf32, #ditto.fxp<64, 17>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @tables_keep_the_bits_of_the_policy(%x: tensor<2xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<[6.553600e+04, 7.62939453125e-06]> : tensor<2xf32, #ditto.fxp<64, 18>>
    %e = stablehlo.exponential %x : tensor<2xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %c : (tensor<2xf32, #ditto.fxp<64, 18>>, tensor<2xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<2xf32, #ditto.fxp<64, 36>>) -> tensor<2xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<2xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @computed_operands_keep_theirs(
// CHECK:         stablehlo.multiply %[[E:.*]], %[[E]] {{.*}} -> tensor<4xf32, #ditto.fxp<64, 36>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @computed_operands_keep_theirs(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 36>>
  }
}
