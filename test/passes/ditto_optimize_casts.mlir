// RUN: ditto-opt %s --split-input-file --ditto-optimize-casts | filecheck %s

// CHECK-LABEL: func.func @constant(
// CHECK-NEXT:    %[[C:.*]] = stablehlo.constant dense<1.500000e+00> : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.add %arg0, %[[C]]
module attributes {ditto.stage = "cast"} {
  func.func @constant(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<1.5> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = "ditto.upcast"(%c) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.add %x, %0 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @same_cast_twice(
// CHECK:         %[[U:.*]] = "ditto.upcast"
// CHECK-NOT:     "ditto.upcast"
// CHECK:         stablehlo.add %[[U]], %[[U]]
module attributes {ditto.stage = "cast"} {
  func.func @same_cast_twice(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.add %1, %2 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %3 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Near miss: to another scale.
// CHECK-LABEL: func.func @casts_to_two_scales(
// CHECK:         %[[A:.*]] = "ditto.upcast"({{.*}} #ditto.fxp<64, 18>>
// CHECK:         %[[B:.*]] = "ditto.upcast"({{.*}} #ditto.fxp<64, 20>>
// CHECK:         return %[[A]], %[[B]]
module attributes {ditto.stage = "cast"} {
  func.func @casts_to_two_scales(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 20>>) {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 20>>
    return %1, %2 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 20>>
  }
}

// -----

// CHECK-LABEL: func.func @up_and_down(
// CHECK-NEXT:    %[[N:.*]] = stablehlo.negate
// CHECK-NEXT:    return %[[N]]
module attributes {ditto.stage = "cast"} {
  func.func @up_and_down(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "ditto.downcast"(%1) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %2 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Near miss: the upcast drops bits, and going back cannot bring them back.
// CHECK-LABEL: func.func @lossy_up_and_down(
// CHECK:         "ditto.upcast"
// CHECK:         "ditto.rescale"
// CHECK:         "ditto.downcast"
module attributes {ditto.stage = "cast"} {
  func.func @lossy_up_and_down(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 4>>
    %2 = "ditto.rescale"(%1) : (tensor<4xf32, #ditto.fxp<64, 4>>) -> tensor<4xf32, #ditto.fxp<64, 10>>
    %3 = "ditto.downcast"(%2) : (tensor<4xf32, #ditto.fxp<64, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %3 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Near miss: a downcast loses what the upcast would need.
// CHECK-LABEL: func.func @down_and_up(
// CHECK:         %[[D:.*]] = "ditto.downcast"
// CHECK:         "ditto.upcast"(%[[D]])
module attributes {ditto.stage = "cast"} {
  func.func @down_and_up(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = "ditto.downcast"(%0) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @up_and_up(
// CHECK:         "ditto.upcast"(%{{.*}}) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<128, 40>>
// CHECK-NOT:     "ditto.
module attributes {ditto.stage = "cast"} {
  func.func @up_and_up(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<128, 40>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<128, 40>>
    return %2 : tensor<4xf32, #ditto.fxp<128, 40>>
  }
}

// -----

// CHECK-LABEL: func.func @down_and_down(
// CHECK:         "ditto.downcast"(%{{.*}}) : (tensor<4xf32, #ditto.fxp<128, 40>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK-NOT:     "ditto.
module attributes {ditto.stage = "cast"} {
  func.func @down_and_down(%x: tensor<4xf32, #ditto.fxp<128, 40>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<128, 40>>
    %1 = "ditto.downcast"(%0) : (tensor<4xf32, #ditto.fxp<128, 40>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "ditto.downcast"(%1) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %2 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// 4 elements are cast instead of 36.
// CHECK-LABEL: func.func @hoist_over_broadcast(
// CHECK:         %[[U:.*]] = "ditto.upcast"(%{{.*}}) : (tensor<4xf32, #ditto.fxp<32, 10>>)
// CHECK-NEXT:    stablehlo.broadcast_in_dim %[[U]], dims = [0] : {{.*}} -> tensor<4x9xf32, #ditto.fxp<64, 18>>
module attributes {ditto.stage = "cast"} {
  func.func @hoist_over_broadcast(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4x9xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4x9xf32, #ditto.fxp<32, 10>>
    %2 = "ditto.upcast"(%1) : (tensor<4x9xf32, #ditto.fxp<32, 10>>) -> tensor<4x9xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4x9xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Near miss: a transposition has as many elements before as after.
// CHECK-LABEL: func.func @no_hoist_over_transpose(
// CHECK:         stablehlo.transpose
// CHECK-NEXT:    "ditto.upcast"
module attributes {ditto.stage = "cast"} {
  func.func @no_hoist_over_transpose(%x: tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x2xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<2x4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.transpose %0, dims = [1, 0] : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x2xf32, #ditto.fxp<32, 10>>
    %2 = "ditto.upcast"(%1) : (tensor<4x2xf32, #ditto.fxp<32, 10>>) -> tensor<4x2xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4x2xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// 2 elements are cast instead of 8.
// CHECK-LABEL: func.func @sink_over_slice(
// CHECK:         %[[S:.*]] = stablehlo.slice %{{.*}} [0:2] : (tensor<8xf32, #ditto.fxp<32, 10>>)
// CHECK-NEXT:    "ditto.upcast"(%[[S]]) : (tensor<2xf32, #ditto.fxp<32, 10>>)
module attributes {ditto.stage = "cast"} {
  func.func @sink_over_slice(%x: tensor<8xf32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<8xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<8xf32, #ditto.fxp<32, 10>>) -> tensor<8xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.slice %1 [0:2] : (tensor<8xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<2xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// The index, which is public, changes ring along with the slice.
// CHECK-LABEL: func.func @sink_over_dynamic_slice(
// CHECK:         %[[S:.*]] = stablehlo.dynamic_slice {{.*}} : (tensor<8xf32, #ditto.fxp<32, 10>>, tensor<i32, #ditto.int<32>>)
// CHECK-NEXT:    "ditto.upcast"(%[[S]]) : (tensor<2xf32, #ditto.fxp<32, 10>>)
module attributes {ditto.stage = "cast"} {
  func.func @sink_over_dynamic_slice(%x: tensor<8xf32, #ditto.fxp<32, 10>>, %i: tensor<i32, #ditto.int<64>> {ditto.visibility = "public"}) -> tensor<2xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<8xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<8xf32, #ditto.fxp<32, 10>>) -> tensor<8xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.dynamic_slice %1, %i, sizes = [2] : (tensor<8xf32, #ditto.fxp<64, 18>>, tensor<i32, #ditto.int<64>>) -> tensor<2xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<2xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @hoist_over_gather(
// CHECK:         %[[U:.*]] = "ditto.upcast"(%{{.*}}) : (tensor<2xf32, #ditto.fxp<32, 10>>)
// CHECK:         "stablehlo.gather"(%[[U]], %{{.*}}) {{.*}} : (tensor<2xf32, #ditto.fxp<64, 18>>, tensor<4x1xi32, #ditto.int<64>>)
module attributes {ditto.stage = "cast"} {
  func.func @hoist_over_gather(%x: tensor<2xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<2xf32, #ditto.fxp<32, 10>>
    %i = stablehlo.constant dense<[[0], [1], [0], [1]]> : tensor<4x1xi32, #ditto.int<32>>
    %1 = "stablehlo.gather"(%0, %i) {dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1>} : (tensor<2xf32, #ditto.fxp<32, 10>>, tensor<4x1xi32, #ditto.int<32>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Near miss: all of it is needed anyway.
// CHECK-LABEL: func.func @no_sink_when_used_twice(
// CHECK:         %[[U:.*]] = "ditto.upcast"
// CHECK-NEXT:    stablehlo.slice %[[U]]
module attributes {ditto.stage = "cast"} {
  func.func @no_sink_when_used_twice(%x: tensor<8xf32, #ditto.fxp<32, 10>>) -> (tensor<2xf32, #ditto.fxp<64, 18>>, tensor<8xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.negate %x : tensor<8xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<8xf32, #ditto.fxp<32, 10>>) -> tensor<8xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.slice %1 [0:2] : (tensor<8xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 18>>
    return %2, %1 : tensor<2xf32, #ditto.fxp<64, 18>>, tensor<8xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// The caller shares the argument in the ring it is used in.
// CHECK-LABEL: func.func @argument_in_one_ring(
// CHECK-SAME:    %arg0: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.input = 0 : i32})
// CHECK-NEXT:    stablehlo.negate %arg0
module attributes {ditto.stage = "cast"} {
  func.func @argument_in_one_ring(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.negate %0 : tensor<4xf32, #ditto.fxp<32, 10>>
    return %1 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Or in both: both arguments are the caller's second input. Who sees it stays.
// CHECK-LABEL: func.func @argument_in_two_rings(
// CHECK-SAME:    %arg0: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.input = 0 : i32}
// CHECK-SAME:    %arg1: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.input = 1 : i32, ditto.visibility = "public"}
// CHECK-SAME:    %arg2: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.input = 1 : i32, ditto.visibility = "public"})
// CHECK-NEXT:    stablehlo.add %arg0, %arg1
// CHECK-NEXT:    stablehlo.negate %arg2
module attributes {ditto.stage = "cast"} {
  func.func @argument_in_two_rings(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "public"}) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<32, 10>>) {
    %0 = stablehlo.add %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = "ditto.downcast"(%y) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.negate %1 : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0, %2 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// An argument seen through a layout op, which may grow, is supplied in the other ring as well.
// CHECK-LABEL: func.func @argument_through_layout(
// CHECK-SAME:    %arg0: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.input = 0 : i32})
// CHECK-NOT:     "ditto.
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @argument_through_layout(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.slice %x [0:2] : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 18>>
    %1 = "ditto.downcast"(%0) : (tensor<2xf32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.negate %1 : tensor<2xf32, #ditto.fxp<32, 10>>
    return %2 : tensor<2xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// CHECK-LABEL: func.func @unused(
// CHECK-NEXT:    %[[N:.*]] = stablehlo.negate
// CHECK-NEXT:    return %[[N]]
module attributes {ditto.stage = "cast"} {
  func.func @unused(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = "ditto.downcast"(%0) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
