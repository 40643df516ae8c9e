/**
 * GGUF, llama.cpp's single-file format: metadata, tokenizer and weights, most of them in blocks of 32 or 256 quantized
 * elements. {@link nibble.convert.gguf.GgufFile} reads the container, {@link nibble.convert.gguf.BlockDecoder} the blocks, and
 * {@link nibble.convert.gguf.GgufCheckpoint} makes a Hugging Face config, tensor names and tokenizer of them.
 *
 * <p>Sources: the format's specification (docs/gguf.md of ggml) and the layouts of ggml-common.h.
 */
@NullMarked
package nibble.convert.gguf;

import org.jspecify.annotations.NullMarked;
