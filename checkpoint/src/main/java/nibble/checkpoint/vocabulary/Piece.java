package nibble.checkpoint.vocabulary;

import java.util.Optional;

/**
 * Holds a token of a SentencePiece vocabulary; its id is its place.
 *
 * @param text the piece, with U+2581 for a space; {@code <0x0A>} for a byte
 * @param score its rank among merges: the higher, the earlier; 0 for those that are none
 */
public record Piece(String text, float score, Kind kind) {
    /** As a token that text is searched for, if it is one. */
    Optional<AddedToken> added(int id) {
        return switch (kind) {
            case UNKNOWN, CONTROL -> Optional.of(AddedToken.special(id, text));
            // A piece of spaces is met only where spaces are already written as pieces write them.
            case USER_DEFINED ->
                Optional.of(
                        new AddedToken(id, text, false, text.contains(SentencePieceJson.SPACE), false, false, false));
            case NORMAL, UNUSED, BYTE -> Optional.empty();
        };
    }

    /** Lists SentencePiece's kinds, which GGUF numbers the same way. */
    public enum Kind {
        NORMAL(1),
        UNKNOWN(2),
        CONTROL(3),
        USER_DEFINED(4),
        UNUSED(5),
        BYTE(6);

        private final int id;

        Kind(int id) {
            this.id = id;
        }

        public int id() {
            return id;
        }

        /** Returns the kind of this number; an unknown number is a normal piece. */
        public static Kind of(long id) {
            for (Kind kind : values()) {
                if (kind.id == id) {
                    return kind;
                }
            }
            return NORMAL;
        }
    }
}
