package nibble.convert.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.IntFunction;
import nibble.checkpoint.gguf.GgufNames;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Architectures;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The type of every tensor of every mix against gguf_mixes.txt, which llama.cpp's own quantizer (llama_model_quantize
 * of libllama 0.5.0) made: src/test/scripts/gguf_mixes.py wrote tiny models, had them quantized and listed what came
 * out. A line is a model (architecture, layers, heads, key/value heads, head width, hidden width, MLP width, 1 for tied
 * embeddings), a mix, whether importance was given, and the types of each kind of tensor, layer after layer.
 */
class GgufMixTest {

    static List<String> lines() throws IOException {
        try (InputStream in = GgufMixTest.class.getResourceAsStream("/gguf_mixes.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
        }
    }

    @ParameterizedTest
    @MethodSource("lines")
    void every_tensor_has_the_type_that_llama_cpp_gives_it(String line) {
        List<String> words = Arrays.asList(line.split(" "));
        ModelConfig config = config(words);
        GgufMix mix = GgufMix.named(words.get(8)).orElseThrow();
        boolean weighted = words.get(9).equals("importance");
        SortedMap<String, String> found = new TreeMap<>();
        for (LinearModule module : config.modules(0)) {
            found.put(
                    GgufNames.linear(module),
                    runs(config.layers(), layer -> mix.linear(module, layer, config, weighted)));
        }
        found.put("token_embd", mix.embedding(config).name());
        if (!config.tiedEmbeddings()) {
            found.put("output", mix.head(config).name());
        }
        assertThat(String.join(
                        " ", found.entrySet().stream().map(Object::toString).toList()))
                .isEqualTo(String.join(" ", words.subList(10, words.size())));
    }

    @Test
    void every_mix_and_the_three_sizes_of_llama_are_compared() throws IOException {
        // Without experts MXFP4_MOE is Q8_0, and no release makes it of such models.
        for (GgufMix mix : EnumSet.complementOf(EnumSet.of(GgufMix.MXFP4_MOE))) {
            for (String model :
                    List.of("llama 8 4 4", "llama 32 4 1", "llama 80 4 4", "llama 80 4 1", "qwen2 80", "phi3 80")) {
                assertThat(lines()).anyMatch(line -> line.startsWith(model) && line.contains(" " + mix + " - "));
            }
        }
    }

    /** Types of layers in order, equal neighbours counted: {@code Q6_K*2,Q4_K}. */
    private static String runs(int layers, IntFunction<GgufType> typeOf) {
        List<String> runs = new ArrayList<>();
        for (int layer = 0; layer < layers; ) {
            GgufType type = typeOf.apply(layer);
            int first = layer;
            while (layer < layers && typeOf.apply(layer) == type) {
                layer++;
            }
            runs.add(layer - first == 1 ? type.name() : type + "*" + (layer - first));
        }
        return String.join(",", runs);
    }

    private static ModelConfig config(List<String> words) {
        Architecture architecture =
                Architectures.ofGguf(words.get(0), false, false, false, false).orElseThrow();
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putArray("architectures").add(architecture.className());
        List<String> keys = List.of(
                "num_hidden_layers",
                "num_attention_heads",
                "num_key_value_heads",
                "head_dim",
                "hidden_size",
                "intermediate_size");
        for (int i = 0; i < keys.size(); i++) {
            json.put(keys.get(i), Integer.parseInt(words.get(1 + i)));
        }
        json.put("tie_word_embeddings", words.get(7).equals("1"));
        json.put("vocab_size", 64).put("rms_norm_eps", 1e-5);
        return ModelConfig.of(Path.of(words.get(0)), json);
    }
}
