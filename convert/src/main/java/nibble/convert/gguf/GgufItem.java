package nibble.convert.gguf;

import java.util.List;
import java.util.function.Supplier;
import nibble.checkpoint.gguf.GgufPlan;

/**
 * A tensor of a GGUF file to be written, and how to get its bytes.
 *
 * @param sources names of the tensors that it is made of
 */
record GgufItem(GgufPlan.Entry entry, List<String> sources, Supplier<EncodedRows> body) {}
