package nibble.checkpoint.vocabulary;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;

/**
 * A tokenizer.model of tiktoken's kind, as Meta publishes Llama 3 with: a token in base64 and its rank on each line.
 *
 * @param tokens in the letters of {@link ByteAlphabet}, by rank
 */
record TiktokenModel(List<String> tokens) {
    /** Special tokens that Llama 3 has behind the ranked ones. */
    private static final int SPECIAL = 256;

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

    /** The special tokens that follow, in Llama 3.1's names; the file itself does not hold them. */
    static List<String> specialTokens() {
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
        for (int i = 2; names.size() < SPECIAL; i++) {
            names.add("<|reserved_special_token_" + i + "|>");
        }
        return names;
    }
}
