// RUN: ditto-opt %s --split-input-file --verify-diagnostics

// Each function breaks the rule that its name begins with; docs/reference/attributes.md numbers the rules.

func.func @d1_unknown_attribute(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{[verify] 'stablehlo.add' op: d1: attribute 'ditto.rnig' is unknown; did you mean 'ditto.ring'?}}
  %0 = stablehlo.add %x, %x {ditto.rnig = 64 : i32} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @d1_ring_out_of_range(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{d1: attribute 'ditto.ring' must be one of 32, 64, 128 as an i32, got 48 : i32}}
  %0 = stablehlo.add %x, %x {ditto.ring = 48 : i32} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @d1_ring_of_wrong_type(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{d1: attribute 'ditto.ring' must be one of 32, 64, 128 as an i32, got 64 : i64}}
  %0 = stablehlo.add %x, %x {ditto.ring = 64 : i64} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @d1_negative_frac(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{d1: attribute 'ditto.frac' must be an i32 in [0, 126], got -1 : i32}}
  %0 = stablehlo.add %x, %x {ditto.frac = -1 : i32} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A typo must not make anything public.
// expected-error @+1 {{'func.func' op: d1: attribute 'ditto.visibility' of argument 0 must be one of "secret", "public", got "pubilc"}}
func.func @d1_visibility_typo(%x: tensor<4xf32> {ditto.visibility = "pubilc"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.visiblity' of argument 0 is unknown; did you mean 'ditto.visibility'?}}
func.func @d1_unknown_argument_attribute(%x: tensor<4xf32> {ditto.visiblity = "public"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

func.func @d1_argument_attribute_elsewhere(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{d1: attribute 'ditto.visibility' may stand only on function arguments}}
  %0 = stablehlo.add %x, %x {ditto.visibility = "secret"} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.ring' of argument 0 may not stand on a function's arguments}}
func.func @d1_operation_attribute_on_argument(%x: tensor<4xf32> {ditto.ring = 64 : i32}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.visibility' of result 0 may not stand on a function's results}}
func.func @d1_visibility_of_result(%x: tensor<4xf32>) -> (tensor<4xf32> {ditto.visibility = "public"}) {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{'func.func' op: d1: attribute 'ditto.owner' of argument 1 must be a string of 1 to 100 of the characters A-Z a-z 0-9 . _ : / @ -, got 7 : i32}}
func.func @d1_owner_of_wrong_type(%x: tensor<4xf32>, %y: tensor<4xf32> {ditto.owner = 7 : i32}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.owner' of argument 0 must be a string of 1 to 100 of the characters A-Z a-z 0-9 . _ : / @ -, got ""}}
func.func @d1_empty_owner(%x: tensor<4xf32> {ditto.owner = ""}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.owner' of argument 0 must be a string of 1 to 100 of the characters A-Z a-z 0-9 . _ : / @ -, got "the clinic"}}
func.func @d1_owner_with_a_blank(%x: tensor<4xf32> {ditto.owner = "the clinic"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.ownr' of argument 0 is unknown; did you mean 'ditto.owner'?}}
func.func @d1_owner_typo(%x: tensor<4xf32> {ditto.ownr = "clinic"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32> {ditto.owner = "clinic"}) -> tensor<4xf32> {
  %0 = call @d1_owner_of_a_helper(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
// expected-error @+1 {{d1: attribute 'ditto.owner' of argument 0 may stand only on arguments of the entry function, which the caller gives}}
func.func private @d1_owner_of_a_helper(%x: tensor<4xf32> {ditto.owner = "clinic"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.owner' of result 0 may not stand on a function's results}}
func.func @d1_owner_of_result(%x: tensor<4xf32>) -> (tensor<4xf32> {ditto.owner = "clinic"}) {
  return %x : tensor<4xf32>
}

// -----

func.func @d1_owner_elsewhere(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{d1: attribute 'ditto.owner' may stand only on function arguments}}
  %0 = stablehlo.add %x, %x {ditto.owner = "clinic"} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{'builtin.module' op: d1: attribute 'ditto.stage' must be one of "annotated", "cast", "outlined", "lowered", got "done"}}
module attributes {ditto.stage = "done"} {
  func.func @d1_unknown_stage() {
    return
  }
}

// -----

// expected-error @+1 {{'builtin.module' op: d1: attribute 'ditto.version' says 2, so a newer ditto wrote this program; this one reads versions up to 1: update it}}
module attributes {ditto.version = 2 : i32} {
  func.func @d1_newer_version() {
    return
  }
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.version' must be an i32 from 1 on, got 0 : i32}}
module attributes {ditto.version = 0 : i32} {
  func.func @d1_no_version() {
    return
  }
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.version' must be an i32 from 1 on, got "1"}}
module attributes {ditto.version = "1"} {
  func.func @d1_version_as_text() {
    return
  }
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.version' may stand only on the module}}
func.func @d1_version_of_function() attributes {ditto.version = 1 : i32} {
  return
}

// -----

module attributes {ditto.version = 1 : i32} {
  func.func @d1_this_version() {
    return
  }
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.stage' may stand only on the module}}
func.func @d1_stage_of_function() attributes {ditto.stage = "cast"} {
  return
}

// -----

func.func @d1_unknown_op(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'ditto.upscale' op: d1: unknown op of the ditto dialect; did you mean}}
  %0 = "ditto.upscale"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{'func.func' op: d2: '#ditto.fxp<64,18>' is not a ditto encoding; expected '#ditto.fxp<ring, frac>' or '#ditto.int<ring>', spelled with one space after the comma (argument 0 has type}}
func.func @d2_not_canonical(%x: tensor<4xf32, #ditto.fxp<64,18>>) {
  return
}

// -----

// expected-error @+1 {{d2: '#ditto.fixed<64, 18>' is not a ditto encoding}}
func.func @d2_unknown_encoding(%x: tensor<4xf32, #ditto.fixed<64, 18>>) {
  return
}

// -----

// expected-error @+1 {{d2: ring width must be in [2, 64], or 128, got 72}}
func.func @d2_ring(%x: tensor<4xf32, #ditto.fxp<72, 8>>) {
  return
}

// -----

// expected-error @+1 {{d2: fraction bits must be in [0, 30] for ring 32, got 31}}
func.func @d2_frac(%x: tensor<4xf32, #ditto.fxp<32, 31>>) {
  return
}

// -----

// expected-error @+1 {{d2: a float tensor is held in fixed point, so '#ditto.int<64>' should be '#ditto.fxp<..>'}}
func.func @d2_float_as_integer(%x: tensor<4xf32, #ditto.int<64>>) {
  return
}

// -----

// expected-error @+1 {{d2: an integer or boolean tensor has no fraction bits, so '#ditto.fxp<64, 18>' should be '#ditto.int<..>'}}
func.func @d2_boolean_with_fraction(%x: tensor<4xi1, #ditto.fxp<64, 18>>) {
  return
}

// -----

func.func @d2_result(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{d2: ring width must be in [2, 64], or 128, got 65 (result 0 has type 'tensor<4xf32, #ditto.fxp<65, 8>>')}}
  %0 = "test.op"(%x) : (tensor<4xf32>) -> tensor<4xf32, #ditto.fxp<65, 8>>
  return %x : tensor<4xf32>
}

// -----

func.func @d3_shape(%x: tensor<4xf32, #ditto.fxp<64, 18>>) {
  // expected-error @+1 {{'ditto.downcast' op: d3: a cast keeps shape and element type, got 'tensor<4xf32, #ditto.fxp<64, 18>>' -> 'tensor<2x2xf32, #ditto.fxp<32, 10>>'}}
  %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<2x2xf32, #ditto.fxp<32, 10>>
  return
}

// -----

func.func @d3_element_type(%x: tensor<4xf32, #ditto.fxp<64, 18>>) {
  // expected-error @+1 {{d3: a cast keeps shape and element type}}
  %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf16, #ditto.fxp<32, 10>>
  return
}

// -----

func.func @d3_no_encoding(%x: tensor<4xf32>) {
  // expected-error @+1 {{d3: both sides of a cast need an encoding, got 'tensor<4xf32>' -> 'tensor<4xf32, #ditto.fxp<32, 10>>'}}
  %0 = "ditto.downcast"(%x) : (tensor<4xf32>) -> tensor<4xf32, #ditto.fxp<32, 10>>
  return
}

// -----

func.func @d3_wrong_name(%x: tensor<4xf32, #ditto.fxp<64, 18>>) {
  // expected-error @+1 {{d3: #ditto.fxp<64, 18> -> #ditto.fxp<32, 10> is 'ditto.downcast'}}
  %0 = "ditto.upcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
  return
}

// -----

// A downcast shifts right by 18 - 20 bits: there is no such thing.
func.func @d3_downcast_adds_bits(%x: tensor<4xf32, #ditto.fxp<64, 18>>) {
  // expected-error @+1 {{d3: no downcast #ditto.fxp<64, 18> -> #ditto.fxp<32, 20>: it cannot add fraction bits (18 -> 20); rescale first}}
  %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 20>>
  return
}

// -----

// 64 - 33 = 31 bits are left of the wrap-around, and the result has 32.
func.func @d3_downcast_drops_too_much(%x: tensor<4xf32, #ditto.fxp<64, 33>>) {
  // expected-error @+1 {{d3: no downcast #ditto.fxp<64, 33> -> #ditto.fxp<32, 0>: dropping 33 bits leaves 31 of 64 bits, fewer than the 32 of the result}}
  %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 33>>) -> tensor<4xf32, #ditto.fxp<32, 0>>
  return
}

// -----

func.func @d3_two_operands(%x: tensor<4xf32, #ditto.fxp<64, 18>>) {
  // expected-error @+1 {{d3: a cast has one operand and one result, got 2 and 1}}
  %0 = "ditto.downcast"(%x, %x) : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
  return
}

// -----

module attributes {ditto.stage = "annotated"} {
  // expected-error @+1 {{c1: a tensor of an annotated program must have an encoding; run ditto-annotate (argument 0 has type 'tensor<4xf32>')}}
  func.func @c1_argument(%x: tensor<4xf32>) {
    return
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  func.func @c1_region_argument(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<f32, #ditto.fxp<64, 18>> {
    %zero = stablehlo.constant dense<0.0> : tensor<f32, #ditto.fxp<64, 18>>
    // expected-error @+2 {{c1: a tensor of an annotated program must have an encoding; run ditto-annotate (region argument 0 has type 'tensor<f32>')}}
    // expected-error @+1 {{c1: a tensor of an annotated program must have an encoding; run ditto-annotate (region argument 1 has type 'tensor<f32>')}}
    %0 = "stablehlo.reduce"(%x, %zero) <{dimensions = array<i64: 0>}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %1 = stablehlo.add %a, %b : (tensor<f32>, tensor<f32>) -> tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %1 : tensor<f32, #ditto.fxp<64, 18>>
    }) : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<f32, #ditto.fxp<64, 18>>) -> tensor<f32, #ditto.fxp<64, 18>>
    return %0 : tensor<f32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  // expected-error @+1 {{c1: elements of type f8E4M3FN cannot be secret-shared}}
  func.func @c1_dtype(%x: tensor<4xf8E4M3FN, #ditto.int<64>>) {
    return
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  // expected-error @+1 {{c1: values must be ranked tensors, found '!stablehlo.token'}}
  func.func @c1_no_tensor(%x: !stablehlo.token) {
    return
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  // expected-error @+1 {{c1: shapes must be static, found 'tensor<?xf32, #ditto.fxp<64, 18>>'}}
  func.func @c1_dynamic(%x: tensor<?xf32, #ditto.fxp<64, 18>>) {
    return
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  func.func @c1_unknown_op(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{'stablehlo.cbrt' op: c1: the engine has no private implementation of it}}
    %0 = stablehlo.cbrt %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  // expected-error @+1 {{'func.func' op: c1: its region must be one block}}
  func.func @c1_two_blocks(%x: tensor<4xf32, #ditto.fxp<64, 18>>) {
    return
  ^unreachable:
    return
  }
}

// -----

module attributes {ditto.stage = "outlined"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = call @c5_no_ring(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  // expected-error @+1 {{'func.func' op: c5: a region must have 'ditto.ring' and 'ditto.frac'}}
  func.func private @c5_no_ring(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> attributes {ditto.ring = 64 : i32} {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Constants of complex numbers have no class in MLIR's bindings for Python.
func.func @unreadable_constant() {
  // expected-error @+1 {{[verify] 'stablehlo.constant' op: elements of type complex<f32> cannot be secret-shared; calculate with}}
  %0 = stablehlo.constant dense<(1.0, 2.0)> : tensor<4xcomplex<f32>>
  return
}

// -----

// expected-error @+1 {{'func.func' op: it has an attribute of complex numbers, which cannot be read; remove it}}
func.func @unreadable_attribute(%x: tensor<4xf32> {other.key = dense<(1.0, 2.0)> : tensor<1xcomplex<f32>>}) {
  return
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @c2_two_rings(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    // expected-error @+1 {{'stablehlo.negate' op: c2: operands and results must be in one ring and scale, found #ditto.fxp<64, 18>, #ditto.fxp<32, 10>; run ditto-insert-casts}}
    %0 = stablehlo.negate %x : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @c2_two_scales(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{c2: operands and results must be in one ring and scale, found #ditto.fxp<64, 18>, #ditto.fxp<64, 20>, #ditto.fxp<64, 18>}}
    %0 = stablehlo.add %x, %y : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A predicate has no scale, but it has a ring.
module attributes {ditto.stage = "cast"} {
  func.func @c2_predicate(%p: tensor<4xi1, #ditto.int<32>>, %x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{c2: operands and results must be in one ring and scale, found #ditto.int<32>, #ditto.fxp<64, 18>}}
    %0 = stablehlo.select %p, %x, %x : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @c3_product(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{'stablehlo.multiply' op: c3: a product has the sum of its operands' fraction bits, so 36, found #ditto.fxp<64, 18>, #ditto.fxp<64, 18>, #ditto.fxp<64, 18>; only casts change the fraction}}
    %0 = stablehlo.multiply %x, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "annotated"} {
  func.func @c4_division_in_ring_32(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    // expected-error @+1 {{'stablehlo.divide' op: c4: cannot run in ring 32, only in 64, 128}}
    %0 = stablehlo.divide %x, %x : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "outlined"} {
  func.func @c5_operation_in_main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{'stablehlo.negate' op: c5: the entry function of an outlined module holds only calls, casts, comparisons, ops beside the engine and a return; move it into a function with attribute 'ditto.ring'}}
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// MLIR's own rules come first.
func.func @mlir_shape_mismatch(%x: tensor<4xf32>) -> tensor<5xf32> {
  // expected-error @+1 {{'stablehlo.negate' op requires compatible types for all operands and results}}
  %0 = "stablehlo.negate"(%x) : (tensor<4xf32>) -> tensor<5xf32>
  return %0 : tensor<5xf32>
}

// -----

func.func @d4_operands(%x: tensor<4xi32, #ditto.int<32>>) {
  // expected-error @+1 {{'ditto.less' op: d4: 'ditto.less' has one fixed-point operand, got 'tensor<4xi32, #ditto.int<32>>'}}
  %0 = "ditto.less"(%x) {thresholds = array<i64: 0>} : (tensor<4xi32, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>>
  return
}

// -----

func.func @d4_thresholds(%x: tensor<4xf32, #ditto.fxp<32, 10>>) {
  // expected-error @+1 {{d4: 'thresholds' must be an array of one i64 or more, got 0 : i64}}
  %0 = "ditto.less"(%x) {thresholds = 0 : i64} : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
  // expected-error @+1 {{d4: 'thresholds' must be an array of one i64 or more, got none}}
  %1 = "ditto.less"(%x) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
  return
}

// -----

func.func @d4_results(%x: tensor<2x4xf32, #ditto.fxp<32, 10>>) {
  // expected-error @+1 {{d4: 2 threshold(s) give as many 'tensor<2x4xi1, #ditto.int<32>>', got tensor<2x4xi1, #ditto.int<32>>}}
  %0 = "ditto.less"(%x) {thresholds = array<i64: 0, 1>} : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xi1, #ditto.int<32>>
  // expected-error @+1 {{d4: 1 threshold(s) give as many 'tensor<2x4xi1, #ditto.int<32>>', got tensor<2x4xi1, #ditto.int<64>>}}
  %1 = "ditto.less"(%x) {thresholds = array<i64: 0>} : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xi1, #ditto.int<64>>
  return
}

// -----

func.func @d5_types(%x: tensor<4xui8, #ditto.int<32>>, %y: tensor<4xi8, #ditto.int<32>>, %z: tensor<4xf32, #ditto.fxp<32, 10>>) {
  // expected-error @+1 {{d5: it has integers of one type and one result, got tensor<4xi8, #ditto.int<32>>, tensor<4xui8, #ditto.int<32>>}}
  %0 = "ditto.wrap"(%x) : (tensor<4xui8, #ditto.int<32>>) -> tensor<4xi8, #ditto.int<32>>
  // expected-error @+1 {{d5: it has integers of one type and one result, got tensor<4xf32, #ditto.fxp<32, 10>>}}
  %1 = "ditto.wrap"(%z) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
  return
}

// -----

func.func @d5_numbers(%x: tensor<4xui8, #ditto.int<32>>) {
  // expected-error @+1 {{d5: attribute 'drop' must be an i32 in [0, 7], got 8 : i32}}
  %0 = "ditto.wrap"(%x) {drop = 8 : i32} : (tensor<4xui8, #ditto.int<32>>) -> tensor<4xui8, #ditto.int<32>>
  // expected-error @+1 {{d5: attribute 'bits' must be an i32 in [1, 32], got 0 : i32}}
  %1 = "ditto.quotient"(%x, %x) {bits = 0 : i32} : (tensor<4xui8, #ditto.int<32>>, tensor<4xui8, #ditto.int<32>>) -> tensor<4xui8, #ditto.int<32>>
  // expected-error @+1 {{d5: attribute 'divisor' must be a ui64 other than 0, got 0 : ui64}}
  %2 = "ditto.quotient"(%x) {divisor = 0 : ui64, limit = 255 : ui64} : (tensor<4xui8, #ditto.int<32>>) -> tensor<4xui8, #ditto.int<32>>
  // expected-error @+1 {{d5: with 1 operand(s) it has the attributes ['divisor', 'limit'], got ['bits']}}
  %3 = "ditto.quotient"(%x) {bits = 8 : i32} : (tensor<4xui8, #ditto.int<32>>) -> tensor<4xui8, #ditto.int<32>>
  // expected-error @+1 {{d5: with 2 operand(s) it has the attributes ['drop'], got []}}
  %4 = "ditto.wrap"(%x, %x) : (tensor<4xui8, #ditto.int<32>>, tensor<4xui8, #ditto.int<32>>) -> tensor<4xui8, #ditto.int<32>>
  return
}

// -----

// expected-error @+1 {{d1: attribute 'ditto.guards' must be an array of strings, got 1 : i64}}
func.func @guards(%x: tensor<4xf32>) attributes {ditto.guards = 1 : i64} {
  // expected-error @+1 {{d1: attribute 'ditto.guards' may stand only on a function}}
  %0 = stablehlo.negate %x {ditto.guards = ["x"]} : tensor<4xf32>
  // expected-error @+1 {{d1: attribute 'ditto.infinity' must be a non-negative f64, got -1.0}}
  %1 = stablehlo.negate %x {ditto.infinity = -1.0 : f64} : tensor<4xf32>
  return
}

// -----

func.func @low_bits(%x: tensor<4xui8, #ditto.int<32>>) {
  // expected-error @+1 {{d1: attribute 'ditto.low_bits' may stand only on a comparison}}
  %0 = stablehlo.add %x, %x {ditto.low_bits} : tensor<4xui8, #ditto.int<32>>
  return
}

// -----

func.func @d1_slack(%x: tensor<4xf32>) {
  // expected-error @+1 {{d1: attribute 'ditto.slack' may stand only on a reduction by maximum}}
  %0 = stablehlo.negate %x {ditto.slack = 2.0 : f64} : tensor<4xf32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  // expected-error @+1 {{d1: attribute 'ditto.slack' must be a non-negative f64, got -2.000000e+00 : f64}}
  %1 = stablehlo.reduce(%x init: %zero) applies stablehlo.maximum across dimensions = [0] {ditto.slack = -2.0 : f64} : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @d6_types(%x: tensor<4xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{d6: it has one operand and one result of floats, got tensor<4xi32>, tensor<4xi32>}}
  %0 = "ditto.oneshot"(%i) {function = @same, otherwise = @same, error = 1.0e-3 : f64} : (tensor<4xi32>) -> tensor<4xi32>
  // expected-error @+1 {{d6: it has one operand and one result of floats, got tensor<4xf32>, tensor<4xf32>, tensor<4xf32>}}
  %1 = "ditto.oneshot"(%x, %x) {function = @same, otherwise = @same, error = 1.0e-3 : f64} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: it keeps shape and element type, got 'tensor<4xf32>' -> 'tensor<2xf32>'}}
  %2 = "ditto.oneshot"(%x) {function = @same, otherwise = @same, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<2xf32>
  return
}
func.func private @same(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

func.func @d6_functions(%x: tensor<4xf32>) {
  // expected-error @+1 {{d6: attribute 'function' speaks of @nowhere, which is not a function with a body}}
  %0 = "ditto.oneshot"(%x) {function = @nowhere, otherwise = @same, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: attribute 'otherwise' must be the symbol of a function, got None}}
  %1 = "ditto.oneshot"(%x) {function = @same, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: attribute 'otherwise' speaks of @narrow, which must take and give tensors like 'tensor<4xf32>', not (tensor<2xf32>) -> tensor<2xf32>}}
  %2 = "ditto.oneshot"(%x) {function = @same, otherwise = @narrow, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: attribute 'function' speaks of @open, which must be private}}
  %3 = "ditto.oneshot"(%x) {function = @open, otherwise = @same, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return
}
func.func private @same(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func private @narrow(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}
func.func @open(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

func.func @d6_numbers(%x: tensor<4xf32>) {
  // expected-error @+1 {{d6: attribute 'error' must be a positive f64, got 0.000000e+00 : f64}}
  %0 = "ditto.oneshot"(%x) {function = @same, otherwise = @same, error = 0.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: 'low' and 'high' must be f64, low < high, got 2.000000e+00 : f64 and 1.000000e+00 : f64}}
  %1 = "ditto.oneshot"(%x) {function = @same, otherwise = @same, error = 1.0e-3 : f64, low = 2.0 : f64, high = 1.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: 'low' and 'high' must be f64, low < high, got 2.000000e+00 : f64 and none}}
  %2 = "ditto.oneshot"(%x) {function = @same, otherwise = @same, error = 1.0e-3 : f64, low = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: attribute 'relative' must be a unit}}
  %3 = "ditto.oneshot"(%x) {function = @same, otherwise = @same, error = 1.0e-3 : f64, relative = true} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{d6: unknown attribute(s) hihg}}
  %4 = "ditto.oneshot"(%x) {function = @same, otherwise = @same, error = 1.0e-3 : f64, hihg = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return
}
func.func private @same(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// An op that the executor on shares does not have.
module attributes {ditto.stage = "cast"} {
  func.func @c6_op(%x: tensor<4xf32, #ditto.fxp<24, 8>>) -> tensor<4xf32, #ditto.fxp<24, 8>> {
    // expected-error @+1 {{c6: the executor on shares has no such op; it is the engine's}}
    %0 = stablehlo.exponential %x {ditto.beside} : tensor<4xf32, #ditto.fxp<24, 8>>
    return %0 : tensor<4xf32, #ditto.fxp<24, 8>>
  }
}

// -----

// Fraction bits that are dropped without the ring's.
module attributes {ditto.stage = "cast"} {
  func.func @c6_product(%x: tensor<4xf32, #ditto.fxp<24, 8>>) -> tensor<4xf32, #ditto.fxp<24, 8>> {
    // expected-error @+1 {{c6: 'multiply': expected as many fraction bits as ring bits dropped}}
    %0 = stablehlo.multiply %x, %x {ditto.beside} : (tensor<4xf32, #ditto.fxp<24, 8>>, tensor<4xf32, #ditto.fxp<24, 8>>) -> tensor<4xf32, #ditto.fxp<24, 8>>
    return %0 : tensor<4xf32, #ditto.fxp<24, 8>>
  }
}

// -----

// Two rings in a sum.
module attributes {ditto.stage = "cast"} {
  func.func @c6_sum(%x: tensor<4xf32, #ditto.fxp<24, 8>>, %y: tensor<4xf32, #ditto.fxp<20, 8>>) -> tensor<4xf32, #ditto.fxp<24, 8>> {
    // expected-error @+1 {{c6: 'add': expected one ring and scale}}
    %0 = stablehlo.add %x, %y {ditto.beside} : (tensor<4xf32, #ditto.fxp<24, 8>>, tensor<4xf32, #ditto.fxp<20, 8>>) -> tensor<4xf32, #ditto.fxp<24, 8>>
    return %0 : tensor<4xf32, #ditto.fxp<24, 8>>
  }
}
