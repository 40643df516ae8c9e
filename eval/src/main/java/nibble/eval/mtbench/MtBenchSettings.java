package nibble.eval.mtbench;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Locale;
import nibble.engine.attention.CacheType;

/**
 * Says how answers were made; kept with each answer, so that a resumed run cannot mix two ways.
 *
 * @param template the prompt format's name
 * @param system what the model is told before each question; empty for nothing
 * @param maxNewTokens tokens of one turn at most; FastChat's default is 1024
 * @param topP of {@link nibble.engine.SamplingOptions}
 * @param topK of {@link nibble.engine.SamplingOptions}; FastChat leaves it to transformers, whose default is 50
 * @param seed same seed, same answers
 * @param choices answers to each question
 * @param kvCache how the KV cache holds keys and values, by the label of a {@link CacheType}
 */
public record MtBenchSettings(
        String template,
        String system,
        int maxNewTokens,
        double topP,
        int topK,
        long seed,
        int choices,
        String kvCache) {
    /** Says how answers are made with a KV cache in the device's own precision. */
    public MtBenchSettings(
            String template, String system, int maxNewTokens, double topP, int topK, long seed, int choices) {
        this(template, system, maxNewTokens, topP, topK, seed, choices, CacheType.AUTO.label());
    }

    /** Returns the type of KV cache. */
    CacheType cache() {
        return CacheType.valueOf(kvCache.toUpperCase(Locale.ROOT));
    }

    /** Reads the settings of a file; earlier versions had one type of cache, and did not name it. */
    static final class Reader extends JsonDeserializer<MtBenchSettings> {
        private static final String CACHE = "kv_cache";

        @Override
        public MtBenchSettings deserialize(JsonParser parser, DeserializationContext context) throws IOException {
            JsonNode tree = context.readTree(parser);
            if (tree instanceof ObjectNode fields && !fields.has(CACHE)) {
                fields.put(CACHE, CacheType.AUTO.label());
            }
            return context.readTreeAsValue(tree, MtBenchSettings.class);
        }
    }
}
