// The operators that this engine calls, as torch 2.13 and 2.14 both declare them (aten/src/ATen/native/native_functions.yaml,
// BSD-3-Clause): for installations that came without torchgen, such as libtorch's C++ archive.

/** Versions whose declarations these are. */
export const bundledFor: ReadonlyArray<string> = ["2.13", "2.14"]

// dprint-ignore
export const bundledSchemas = `
- func: _flash_attention_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor out, Tensor logsumexp, Tensor cum_seq_q, Tensor cum_seq_k, SymInt max_q, SymInt max_k, float dropout_p, bool is_causal, Tensor rng_state, Tensor unused, *, float? scale=None, SymInt? window_size_left=None, SymInt? window_size_right=None) -> (Tensor, Tensor, Tensor)
- func: _flash_attention_forward(Tensor query, Tensor key, Tensor value, Tensor? cum_seq_q, Tensor? cum_seq_k, SymInt max_q, SymInt max_k, float dropout_p, bool is_causal, bool return_debug_mask, *, float? scale=None, SymInt? window_size_left=None, SymInt? window_size_right=None, Tensor? seqused_k=None, Tensor? alibi_slopes=None, Tensor? block_table=None, int? num_splits=None) -> (Tensor output, Tensor softmax_logsumexp, Tensor rng_state, Tensor unused, Tensor debug_attn_mask)
- func: _fused_adamw_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()
- func: _fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)
- func: _scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0.0, bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)
- func: _scaled_dot_product_flash_attention_for_cpu_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor out, Tensor logsumexp, float dropout_p, bool is_causal, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor grad_query, Tensor grad_key, Tensor grad_value)
- func: _softmax.out(Tensor self, int dim, bool half_to_float, *, Tensor(a!) out) -> Tensor(a!)
- func: _softmax(Tensor self, int dim, bool half_to_float) -> Tensor
- func: _softmax_backward_data.out(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype, *, Tensor(a!) grad_input) -> Tensor(a!)
- func: _softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor
- func: _to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor
- func: bmm(Tensor self, Tensor mat2) -> Tensor
- func: cat(Tensor[] tensors, int dim=0) -> Tensor
- func: clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor
- func: dot(Tensor self, Tensor tensor) -> Tensor
- func: embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor
- func: exp_(Tensor(a!) self) -> Tensor(a!)
- func: floor(Tensor self) -> Tensor
- func: gelu(Tensor self, *, str approximate='none') -> Tensor
- func: gelu_backward(Tensor grad_output, Tensor self, *, str approximate='none') -> Tensor
- func: index.Tensor(Tensor self, Tensor?[] indices) -> Tensor
- func: index_put_(Tensor(a!) self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor(a!)
- func: index_select(Tensor self, int dim, Tensor index) -> Tensor
- func: logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor
- func: maximum(Tensor self, Tensor other) -> Tensor
- func: mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor
- func: mm(Tensor self, Tensor mat2) -> Tensor
- func: mul.Tensor(Tensor self, Tensor other) -> Tensor
- func: mul_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)
- func: narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)
- func: native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)
- func: native_layer_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, bool[3] output_mask) -> (Tensor, Tensor, Tensor)
- func: reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)
- func: select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)
- func: silu(Tensor self) -> Tensor
- func: silu_backward(Tensor grad_output, Tensor self) -> Tensor
- func: sqrt(Tensor self) -> Tensor
- func: stack(Tensor[] tensors, int dim=0) -> Tensor
- func: sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor
- func: t(Tensor(a) self) -> Tensor(a)
- func: tanh(Tensor self) -> Tensor
- func: tanh_(Tensor(a!) self) -> Tensor(a!)
- func: tanh_backward(Tensor grad_output, Tensor output) -> Tensor
- func: transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)
- func: view(Tensor(a) self, SymInt[] size) -> Tensor(a)
- func: view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)
`
