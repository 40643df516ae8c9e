package nibble.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.function.Consumer;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.tensor.TensorSpec;

/** A Llama of random fp16 weights, of one layer and of whatever width a test needs; its embedding is tied. */
public final class SmallModel {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Numbers that are drawn for a tensor; those of a longer one repeat them. */
    private static final int DRAWN = 1 << 20;

    private static final Path BUNDLED = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    private SmallModel() {}

    /** Writes a model of so many layers of one width, with the tokenizer and the vocabulary of the bundled model. */
    public static Path ofLayers(Path folder, int layers, int width) throws IOException {
        write(
                folder,
                width,
                width,
                4096,
                config -> config.put("num_attention_heads", 1)
                        .put("head_dim", width)
                        .put("num_hidden_layers", layers));
        for (String file : new String[] {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"}) {
            Files.copy(BUNDLED.resolve(file), folder.resolve(file));
        }
        return folder;
    }

    /**
     * Writes config.json and model.safetensors; {@code change} is made to the config. The tokenizer is the caller's to
     * add.
     */
    public static Path write(Path folder, int hidden, int intermediate, int vocabulary, Consumer<ObjectNode> change)
            throws IOException {
        Files.createDirectories(folder);
        ObjectNode config = JSON.createObjectNode();
        config.putArray("architectures").add("LlamaForCausalLM");
        config.put("model_type", "llama").put("hidden_act", "silu").put("hidden_size", hidden);
        config.put("intermediate_size", intermediate)
                .put("num_hidden_layers", 1)
                .put("num_attention_heads", 3);
        config.put("head_dim", hidden / 3 / 2 * 2).put("num_key_value_heads", 1).put("vocab_size", vocabulary);
        config.put("max_position_embeddings", 8192).put("rms_norm_eps", 1e-5).put("rope_theta", 10000.0);
        config.put("tie_word_embeddings", true)
                .put("torch_dtype", "float16")
                .put("bos_token_id", 1)
                .put("eos_token_id", 2);
        change.accept(config);
        Files.writeString(folder.resolve("config.json"), config.toString());
        writeWeights(folder);
        return folder;
    }

    private static void writeWeights(Path folder) throws IOException {
        Random random = new Random(1);
        ObjectNode header = JSON.createObjectNode();
        header.putObject("__metadata__").put("format", "pt");
        long bytes = 0;
        var tensors = ModelConfig.read(folder.resolve("config.json")).tensors();
        for (TensorSpec tensor : tensors) {
            ObjectNode entry = header.putObject(tensor.name()).put("dtype", "F16");
            tensor.shape().dims().forEach(entry.putArray("shape")::add);
            entry.putArray("data_offsets").add(bytes).add(bytes + tensor.bytes());
            bytes += tensor.bytes();
        }
        byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer file =
                ByteBuffer.allocate(Math.toIntExact(8 + json.length + bytes)).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(json.length).put(json);
        for (TensorSpec tensor : tensors) {
            boolean norm = tensor.shape().rank() == 1;
            int start = file.position();
            for (long i = 0; i < tensor.shape().elements(); i++) {
                if (i >= DRAWN) {
                    file.putShort(file.getShort(start + (int) (i % DRAWN) * Short.BYTES));
                    continue;
                }
                file.putShort(Float.floatToFloat16(norm ? 1 : (float) (0.05 * random.nextGaussian())));
            }
        }
        Files.write(folder.resolve("model.safetensors"), file.array());
    }
}
