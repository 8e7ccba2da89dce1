// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-check-supported='max-public-constant=3'

func.func @unsupported_op(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error @+1 {{[ditto-check-supported] 'stablehlo.cbrt' op: the engine has no private implementation of it}}
  %0 = stablehlo.cbrt %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// Everything at once, not only the first.
func.func @all_at_once(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error @+1 {{'stablehlo.cbrt' op: the engine has no private implementation}}
  %0 = stablehlo.cbrt %x : tensor<8xf32>
  // expected-error @+1 {{'stablehlo.tan' op: the engine has no private implementation}}
  %1 = stablehlo.tan %0 : tensor<8xf32>
  return %1 : tensor<8xf32>
}

// -----

func.func @secret_loop_condition(%x: tensor<i32>) -> tensor<i32> {
  // expected-error @+1 {{'stablehlo.while' op: the loop condition depends on a secret, so running it would reveal the secret; loop a fixed number of times and select the result instead}}
  %0 = stablehlo.while(%n = %x) : tensor<i32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %1 = stablehlo.add %n, %n : tensor<i32>
      stablehlo.return %1 : tensor<i32>
    }
  return %0 : tensor<i32>
}

// -----

// The condition is public at first and secret from the second time round.
func.func @condition_becomes_secret(%x: tensor<i32>) -> tensor<i32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  // expected-error @+1 {{the loop condition depends on a secret}}
  %0:2 = stablehlo.while(%n = %zero, %s = %x) : tensor<i32>, tensor<i32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      stablehlo.return %s, %s : tensor<i32>, tensor<i32>
    }
  return %0#0 : tensor<i32>
}

// -----

func.func @two_scatters(%x: tensor<8xf32>, %i: tensor<1xi32>, %u: tensor<f32>) -> (tensor<8xf32>, tensor<8xf32>) {
  // expected-error @+1 {{'stablehlo.scatter' op: it writes to several tensors at once; write to one after the other}}
  %0:2 = "stablehlo.scatter"(%x, %x, %i, %u, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0]>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<f32>, %d: tensor<f32>):
    stablehlo.return %c, %d : tensor<f32>, tensor<f32>
  }) : (tensor<8xf32>, tensor<8xf32>, tensor<1xi32>, tensor<f32>, tensor<f32>) -> (tensor<8xf32>, tensor<8xf32>)
  return %0#0, %0#1 : tensor<8xf32>, tensor<8xf32>
}

// -----

func.func @grouped_convolution(%x: tensor<1x4x6x6xf32>, %w: tensor<4x2x3x3xf32>) -> tensor<1x4x4x4xf32> {
  // expected-error @+1 {{feature_group_count must be 1; run ditto-expand-ops}}
  %0 = stablehlo.convolution(%x, %w) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1],
    window = {stride = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 2 : i64}
    : (tensor<1x4x6x6xf32>, tensor<4x2x3x3xf32>) -> tensor<1x4x4x4xf32>
  return %0 : tensor<1x4x4x4xf32>
}

// -----

func.func @windows_from_elsewhere(%x: tensor<4xf32>) -> tensor<5xf32> {
  %one = stablehlo.constant dense<1.0> : tensor<f32>
  // expected-error @+1 {{a reduction by add over windows with padding or gaps must start from the constant 0}}
  %0 = "stablehlo.reduce_window"(%x, %one) <{padding = dense<1> : tensor<1x2xi64>, window_dimensions = array<i64: 2>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %sum = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %sum : tensor<f32>
  }) : (tensor<4xf32>, tensor<f32>) -> tensor<5xf32>
  return %0 : tensor<5xf32>
}

// -----

func.func @order_matters(%x: tensor<4xf32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  // expected-error @+1 {{a reduction by subtract depends on the order of the elements; loop over them instead}}
  %0 = stablehlo.reduce(%x init: %zero) across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
    reducer(%a: tensor<f32>, %b: tensor<f32>) {
    %rest = stablehlo.subtract %a, %b : tensor<f32>
    stablehlo.return %rest : tensor<f32>
  }
  return %0 : tensor<f32>
}

// -----

func.func @complex_numbers(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{elements of type complex<f32> cannot be secret-shared; calculate with real and imaginary parts apart}}
  %0 = stablehlo.convert %x : (tensor<4xf32>) -> tensor<4xcomplex<f32>>
  %1 = stablehlo.convert %0 : (tensor<4xcomplex<f32>>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// expected-error @+1 {{argument 0: shapes must be static, found 'tensor<?xf32>'; export with concrete shapes}}
func.func @dynamic_shape(%x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error @+1 {{'stablehlo.negate' op: shapes must be static, found 'tensor<?xf32>'}}
  %0 = stablehlo.negate %x : tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// expected-error @+1 {{argument 0: values must be ranked tensors, found '!stablehlo.token'}}
func.func @token(%t: !stablehlo.token) -> !stablehlo.token {
  return %t : !stablehlo.token
}

// -----

func.func @closed_over_weight() -> tensor<4xf32> {
  // expected-error @+1 {{a constant of 4 floats would be public to all parties: is it a weight that the function closes over?}}
  %0 = stablehlo.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Three elements are the largest allowed by this run's option.
func.func @small_constant() -> tensor<3xf32> {
  %0 = stablehlo.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  return %0 : tensor<3xf32>
}

// -----

func.func @call_left(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'func.call' op: calls must be inlined before this pass; run inline-calls}}
  %0 = call @f(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{'builtin.module' op: there is no entry function: a program has a public function @main (functions found: @a, @b)}}
module {
  func.func @a(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
  func.func @b(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

// expected-error @+1 {{there is no entry function: a program has a public function @main (functions found: @main, without a body)}}
module {
  func.func private @main(tensor<4xf32>) -> tensor<4xf32>
}

// -----

// expected-error @+1 {{'func.func' op: its region must be one block; write loops and branches as stablehlo.while, .if and .case}}
func.func @several_blocks(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'other.branch' op: the engine has no private implementation of it}}
  "other.branch"(%x)[^next] : (tensor<4xf32>) -> ()
^next(%y: tensor<4xf32>):
  return %y : tensor<4xf32>
}

// -----

func.func @ends_in_something_else(%x: tensor<4xf32>) {
  // expected-error @+1 {{'stablehlo.return' op: a function must end in func.return}}
  stablehlo.return %x : tensor<4xf32>
}

// -----

func.func @numbers_elsewhere(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{'stablehlo.constant' op: a constant must be written as dense<..>, found 'sparse<0, 1.000000e+00> : tensor<2xf32>'}}
  %0 = stablehlo.constant sparse<[[0]], [1.0]> : tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

func.func @function_as_value(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'func.constant' op: values must be ranked tensors, found '(tensor<4xf32>) -> tensor<4xf32>'}}
  %f = func.constant @called_indirectly : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{'func.call_indirect' op: the engine has no private implementation of it}}
  %0 = func.call_indirect %f(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @called_indirectly(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
