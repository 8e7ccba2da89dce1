// RUN: ditto-opt %s --split-input-file --ditto-optimize-rescale | filecheck %s

// %e and %f stand for computed values: inputs could be supplied at any scale. Without calibrated ranges, values of
// ring 64 and 18 fraction bits may be held at 36, those of ring 32 and 10 at 20.

// Two truncations become one: 12 instead of 24 bytes per element.
// CHECK-LABEL: func.func @delayed_past_a_sum(
// CHECK:         %[[S:.*]] = stablehlo.add %{{.*}}, %{{.*}} : tensor<4xf32, #ditto.fxp<64, 36>>
// CHECK-NEXT:    %[[R:.*]] = "ditto.rescale"(%[[S]]) {{.*}} -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.rsqrt %[[R]]
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @delayed_past_a_sum(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %3 = "ditto.rescale"(%2) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.add %1, %3 : tensor<4xf32, #ditto.fxp<64, 18>>
    %5 = stablehlo.rsqrt %4 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %5 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// One truncation for the sum instead of one for each of its four terms.
// CHECK-LABEL: func.func @delayed_past_a_reduction(
// CHECK:         %[[S:.*]] = stablehlo.reduce(%{{.*}} init: %{{.*}}) {{.*}} -> tensor<f32, #ditto.fxp<64, 36>>
// CHECK:         "ditto.rescale"(%[[S]]) {{.*}} -> tensor<f32, #ditto.fxp<64, 18>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @delayed_past_a_reduction(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<f32, #ditto.fxp<64, 18>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %z = stablehlo.constant dense<0.0> : tensor<f32, #ditto.fxp<64, 18>>
    %2 = stablehlo.reduce(%1 init: %z) across dimensions = [0] : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<f32, #ditto.fxp<64, 18>>) -> tensor<f32, #ditto.fxp<64, 18>>
     reducer(%a: tensor<f32, #ditto.fxp<64, 18>>, %b: tensor<f32, #ditto.fxp<64, 18>>)  {
      %s = stablehlo.add %a, %b : tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %s : tensor<f32, #ditto.fxp<64, 18>>
    }
    %3 = stablehlo.rsqrt %2 : tensor<f32, #ditto.fxp<64, 18>>
    return %3 : tensor<f32, #ditto.fxp<64, 18>>
  }
}

// -----

// The downcast drops the bits for free: 0 instead of 12 bytes.
// CHECK-LABEL: func.func @fused_into_a_downcast(
// CHECK:         %[[P:.*]] = stablehlo.multiply
// CHECK-NEXT:    "ditto.downcast"(%[[P]]) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @fused_into_a_downcast(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "ditto.downcast"(%1) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %3 = stablehlo.negate %2 : tensor<4xf32, #ditto.fxp<32, 10>>
    return %3 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// A fixed-point function follows, so the upcast drops the two bits: 20 instead of 8 + 12 bytes, 2 rounds instead of 4.
// CHECK-LABEL: func.func @fused_into_an_upcast(
// CHECK:         "ditto.upcast"(%{{.*}}) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @fused_into_an_upcast(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.floor %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 20>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.rsqrt %2 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %3 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A sum takes the bits, so none is dropped: 16 instead of 8 + 12 bytes.
// CHECK-LABEL: func.func @an_upcast_keeps_bits_that_are_taken(
// CHECK:         "ditto.upcast"(%{{.*}}) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<64, 20>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @an_upcast_keeps_bits_that_are_taken(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.floor %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 20>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.add %2, %2 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %3 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// The caller decodes any scale.
// CHECK-LABEL: func.func @removed_before_a_return(
// CHECK-SAME:    -> tensor<4xf32, #ditto.fxp<64, 36>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @removed_before_a_return(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Maxima, comparisons and selections of equal scales need none.
// CHECK-LABEL: func.func @comparisons_take_wide_values(
// CHECK:         stablehlo.compare LT, %{{.*}}, %{{.*}} : (tensor<4xf32, #ditto.fxp<64, 36>>, tensor<4xf32, #ditto.fxp<64, 36>>)
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @comparisons_take_wide_values(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xi1, #ditto.int<64>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.maximum %1, %1 : tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.compare LT, %1, %2 : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xi1, #ditto.int<64>>
    return %3 : tensor<4xi1, #ditto.int<64>>
  }
}

// -----

// Adding bits is a local shift, so the narrower operand is widened.
// CHECK-LABEL: func.func @the_narrower_operand_is_widened(
// CHECK:         %[[W:.*]] = "ditto.rescale"(%{{.*}}) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
// CHECK-NEXT:    stablehlo.add %{{.*}}, %[[W]] : tensor<4xf32, #ditto.fxp<64, 36>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @the_narrower_operand_is_widened(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.add %1, %e : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Two uses of one product, one directly and one through a move, share one truncation.
// CHECK-LABEL: func.func @equal_rescales_are_one(
// CHECK:         %[[R:.*]] = "ditto.rescale"
// CHECK-NOT:     ditto.rescale
// CHECK:         return
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @equal_rescales_are_one(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.rsqrt %1 : tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.reverse %1, dims = [0] : tensor<4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.rsqrt %3 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2, %4 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// |%e| <= 1, so a product of 36 and 18 bits fits 62 - 1: nothing is truncated between the products.
// CHECK-LABEL: func.func @known_small_products_stay_wide(
// CHECK:         stablehlo.multiply {{.*}} -> tensor<4xf32, #ditto.fxp<64, 54>>
// CHECK-NOT:     ditto.rescale
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @known_small_products_stay_wide(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.tanh %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.multiply %1, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %3 = "ditto.rescale"(%2) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %3 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// 14 leading bits of |%w| < 2^-4 are 18 after the point, of |%v| <= 4 they are 12. A sum of four products is below
// 1, so 32 - 2 - 1 fit: %w gives up one.
// CHECK-LABEL: func.func @a_small_operand_keeps_its_leading_bits(
// CHECK-DAG:     %[[W:.*]] = "ditto.rescale"(%{{.*}}) {{.*}} -> tensor<4x4xf32, #ditto.fxp<32, 17>>
// CHECK-DAG:     %[[V:.*]] = "ditto.rescale"(%{{.*}}) {{.*}} -> tensor<4x4xf32, #ditto.fxp<32, 12>>
// CHECK:         stablehlo.dot %[[W]], %[[V]] {{.*}} -> tensor<4x4xf32, #ditto.fxp<32, 29>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @a_small_operand_keeps_its_leading_bits(%x: tensor<4x4xf32, #ditto.fxp<32, 10>>, %y: tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.multiply %x, %x {ditto.max_abs = 0.05 : f64} : (tensor<4x4xf32, #ditto.fxp<32, 10>>, tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 20>>
    %w = "ditto.rescale"(%0) : (tensor<4x4xf32, #ditto.fxp<32, 20>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.multiply %y, %y {ditto.max_abs = 4.0 : f64} : (tensor<4x4xf32, #ditto.fxp<32, 10>>, tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 20>>
    %v = "ditto.rescale"(%1) : (tensor<4x4xf32, #ditto.fxp<32, 20>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.dot %w, %v {ditto.max_abs = 3.0 : f64} : (tensor<4x4xf32, #ditto.fxp<32, 10>>, tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 20>>
    %3 = "ditto.rescale"(%2) : (tensor<4x4xf32, #ditto.fxp<32, 20>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>>
    return %3 : tensor<4x4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// With nothing known of %e, the operand of the second product goes back to 18 bits.
// CHECK-LABEL: func.func @unknown_products_are_truncated_between(
// CHECK:         %[[R:.*]] = "ditto.rescale"({{.*}} -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.multiply %[[R]], %{{.*}} -> tensor<4xf32, #ditto.fxp<64, 36>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @unknown_products_are_truncated_between(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.multiply %1, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %3 = "ditto.rescale"(%2) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %3 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A branch runs whole at the usual scale, so what it reads from outside is rescaled before it.
// CHECK-LABEL: func.func @branches_get_the_usual_scale(
// CHECK:         %[[R:.*]] = "ditto.rescale"
// CHECK:         stablehlo.add %[[R]], %[[R]] : tensor<4xf32, #ditto.fxp<64, 18>>
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @branches_get_the_usual_scale(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %p: tensor<i1, #ditto.int<64>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %e = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = "stablehlo.if"(%p) ({
      %3 = stablehlo.add %1, %1 : tensor<4xf32, #ditto.fxp<64, 18>>
      stablehlo.return %3 : tensor<4xf32, #ditto.fxp<64, 18>>
    }, {
      stablehlo.return %e : tensor<4xf32, #ditto.fxp<64, 18>>
    }) : (tensor<i1, #ditto.int<64>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
