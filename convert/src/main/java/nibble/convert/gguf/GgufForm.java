package nibble.convert.gguf;

import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Architectures;
import nibble.checkpoint.model.GemmaFamily;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.PhiFamily;
import nibble.checkpoint.model.QwenFamily;
import nibble.checkpoint.model.Rope;
import nibble.checkpoint.source.BadCheckpointException;

/** What a model may have so that llama.cpp, which knows tensors and keys by architecture, can hold it. */
final class GgufForm {
    private GgufForm() {}

    /** @throws BadCheckpointException naming what has no form in GGUF */
    static void require(Checkpoint source) {
        ModelConfig config = source.config();
        Architecture architecture = config.architecture();
        boolean llama = architecture.ggufName().equals("llama");
        if (config.rope().scaling() instanceof Rope.DynamicNtk) {
            throw none(source, "rope scaling \"dynamic\" has no form in GGUF");
        }
        if (Architectures.ofGguf(architecture.ggufName()).isEmpty()
                || !config.attendsAlike()
                || config.rope().scaling() instanceof Rope.Yarn
                || config.rope().scaling() instanceof Rope.LongRope) {
            throw none(source, "rope or windows of this kind are not yet written to GGUF");
        }
        if (config.rope().scaling() instanceof Rope.Llama3 && !llama) {
            throw none(source, "rope scaling \"llama3\" has a form in GGUF for \"llama\" only");
        }
        if (config.biases().contains(Linear.O) && !llama) {
            throw none(source, "a bias of the attention's output projection has a form in GGUF for \"llama\" only");
        }
        if (architecture == GemmaFamily.GEMMA && !config.tiedEmbeddings()) {
            throw none(source, "an output projection other than the embedding has no form in GGUF");
        }
        boolean square = architecture != QwenFamily.QWEN2 && architecture != PhiFamily.PHI3;
        if (!square && config.heads() * config.headDim() != config.hiddenSize()) {
            throw none(
                    source,
                    config.heads() + " heads of " + config.headDim() + " in a width of " + config.hiddenSize()
                            + " have no form in GGUF");
        }
    }

    private static BadCheckpointException none(Checkpoint source, String what) {
        return new BadCheckpointException(
                source.configFile(),
                what + ", and this is " + source.config().architecture().className() + " (\""
                        + source.config().architecture().ggufName() + "\"); convert to another format");
    }
}
