package nibble.checkpoint.vocabulary;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A tokenizer.model of tiktoken's kind, as Meta publishes Llama 3 and 4 with: a token in base64 and its rank on each
 * line.
 *
 * @param tokens in the letters of {@link ByteAlphabet}, by rank
 */
record TiktokenModel(List<String> tokens) {
    /** Llama 4 has so many ranked tokens, Llama 3 128,000. */
    private static final int LLAMA_4_TOKENS = 200_000;

    private static final int LLAMA_3_SPECIAL = 256;
    private static final int LLAMA_4_SPECIAL = 2048;

    TiktokenModel {
        tokens = List.copyOf(tokens);
    }

    /** The tokens in {@code bytes}, or nothing where they are no such file. */
    static Optional<TiktokenModel> read(byte[] bytes) {
        List<String> tokens = new ArrayList<>();
        for (String line : new String(bytes, StandardCharsets.ISO_8859_1).split("\n")) {
            if (line.isBlank()) {
                continue;
            }
            String[] parts = line.strip().split(" ");
            if (parts.length != 2 || !parts[1].equals(Integer.toString(tokens.size()))) {
                return Optional.empty();
            }
            try {
                byte[] token = Base64.getDecoder().decode(parts[0]);
                if (token.length == 0 || token.length > RankedTokens.MAX_TOKEN_BYTES) {
                    return Optional.empty();
                }
                tokens.add(ByteAlphabet.of(token));
            } catch (IllegalArgumentException e) {
                return Optional.empty();
            }
        }
        return tokens.isEmpty() ? Optional.empty() : Optional.of(new TiktokenModel(tokens));
    }

    private boolean isLlama4() {
        return tokens.size() >= LLAMA_4_TOKENS;
    }

    /** GGUF's name for the way to cut text, which the file does not say. */
    PreTokenizer cut() {
        return PreTokenizer.named(isLlama4() ? "llama4" : "llama-bpe").orElseThrow();
    }

    /** Texts of special tokens by their roles' names. */
    Map<String, String> names() {
        return Map.of(
                "bos_token",
                "<|begin_of_text|>",
                "eos_token",
                "<|end_of_text|>",
                "pad_token",
                isLlama4() ? "<|finetune_right_pad|>" : "<|finetune_right_pad_id|>");
    }

    /** Texts that end a turn or a message. */
    List<String> stops() {
        return isLlama4() ? List.of("<|eom|>", "<|eot|>") : List.of("<|eom_id|>", "<|eot_id|>");
    }

    /** The special tokens that follow, in Llama 3.1's names or Llama 4's; the file itself does not hold them. */
    List<String> specialTokens() {
        return isLlama4() ? ofLlama4() : ofLlama3();
    }

    private static List<String> ofLlama3() {
        List<String> names = new ArrayList<>(List.of(
                "<|begin_of_text|>",
                "<|end_of_text|>",
                "<|reserved_special_token_0|>",
                "<|reserved_special_token_1|>",
                "<|finetune_right_pad_id|>",
                "<|step_id|>",
                "<|start_header_id|>",
                "<|end_header_id|>",
                "<|eom_id|>",
                "<|eot_id|>",
                "<|python_tag|>",
                "<|image|>"));
        reserve(names, "", LLAMA_3_SPECIAL, 2);
        return names;
    }

    private static List<String> ofLlama4() {
        List<String> names = new ArrayList<>(List.of(
                "<|begin_of_text|>",
                "<|end_of_text|>",
                "<|fim_prefix|>",
                "<|fim_middle|>",
                "<|fim_suffix|>",
                "<|header_start|>",
                "<|header_end|>",
                "<|eom|>",
                "<|eot|>",
                "<|step|>"));
        reserve(names, "text_post_train_", 16, 0);
        names.addAll(List.of("<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"));
        reserve(names, "text_post_train_", 80, 8);
        names.addAll(List.of("<|image_start|>", "<|image_end|>"));
        reserve(names, "vision_", 84, 0);
        names.addAll(List.of("<|tile_x_separator|>", "<|tile_y_separator|>"));
        reserve(names, "vision_", 90, 2);
        names.add("<|image|>");
        reserve(names, "vision_", 92, 6);
        names.add("<|patch|>");
        reserve(names, "vision_", 1134, 7);
        reserve(names, "reasoning_", 1142, 0);
        names.addAll(List.of("<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"));
        reserve(names, "", LLAMA_4_SPECIAL, 0);
        return names;
    }

    /** Adds numbered names from {@code first} on until there are {@code size}. */
    private static void reserve(List<String> names, String kind, int size, int first) {
        for (int i = first; names.size() < size; i++) {
            names.add("<|" + kind + "reserved_special_token_" + i + "|>");
        }
    }
}
