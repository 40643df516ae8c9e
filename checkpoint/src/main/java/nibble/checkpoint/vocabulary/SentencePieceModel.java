package nibble.checkpoint.vocabulary;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Holds SentencePiece's tokenizer.model: a protocol buffer, of which these fields are read.
 *
 * <pre>
 * ModelProto      1 pieces (repeated)   2 trainer_spec   3 normalizer_spec
 * SentencePiece   1 piece (text)        2 score (float)  3 type (1 where absent)
 * TrainerSpec     3 model_type (2 is BPE)   40 unk_id   41 bos_id   42 eos_id   43 pad_id (0, 1, 2, -1 where absent)
 * NormalizerSpec  3 add_dummy_prefix (true where absent)
 * </pre>
 *
 * @param pieces by id
 * @param spaceInFront whether a text is encoded as if it began with a space
 * @param bosId id of the token that begins a text, or -1; {@code eosId}, {@code unknownId} and {@code paddingId}
 *     likewise
 */
public record SentencePieceModel(
        List<Piece> pieces, boolean spaceInFront, int unknownId, int bosId, int eosId, int paddingId) {
    private static final int BPE = 2;

    public SentencePieceModel {
        pieces = List.copyOf(pieces);
    }

    /** Returns the model in {@code bytes}, or nothing where they are no SentencePiece model of the BPE kind. */
    public static Optional<SentencePieceModel> read(byte[] bytes) {
        try {
            return parse(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
        } catch (Malformed e) {
            return Optional.empty();
        }
    }

    private static Optional<SentencePieceModel> parse(ByteBuffer in) throws Malformed {
        List<Piece> pieces = new ArrayList<>();
        int modelType = 1;
        boolean space = true;
        int[] ids = {0, 1, 2, -1};
        while (in.hasRemaining()) {
            long key = varint(in);
            if (key == (1 << 3 | 2)) {
                pieces.add(piece(message(in)));
            } else if (key == (2 << 3 | 2)) {
                ByteBuffer spec = message(in);
                modelType = (int) field(spec.duplicate().order(ByteOrder.LITTLE_ENDIAN), 3, modelType);
                for (int i = 0; i < ids.length; i++) {
                    ids[i] = (int) field(spec.duplicate().order(ByteOrder.LITTLE_ENDIAN), 40 + i, ids[i]);
                }
            } else if (key == (3 << 3 | 2)) {
                space = field(message(in), 3, 1) != 0;
            } else {
                skip(in, key);
            }
        }
        if (pieces.isEmpty() || modelType != BPE) {
            return Optional.empty();
        }
        for (int i = 0; i < ids.length; i++) {
            ids[i] = ids[i] >= 0 && ids[i] < pieces.size() ? ids[i] : -1;
        }
        return Optional.of(new SentencePieceModel(pieces, space, ids[0], ids[1], ids[2], ids[3]));
    }

    private static Piece piece(ByteBuffer in) throws Malformed {
        String text = "";
        float score = 0;
        long kind = 1;
        while (in.hasRemaining()) {
            long key = varint(in);
            if (key == (1 << 3 | 2)) {
                try {
                    text = StandardCharsets.UTF_8
                            .newDecoder()
                            .decode(message(in))
                            .toString();
                } catch (CharacterCodingException e) {
                    throw new Malformed();
                }
            } else if (key == (2 << 3 | 5)) {
                require(in, 4);
                score = in.getFloat();
            } else if (key == 3 << 3) {
                kind = varint(in);
            } else {
                skip(in, key);
            }
        }
        return new Piece(text, score, Piece.Kind.of(kind));
    }

    /** The last value of an integer field of a message. */
    private static long field(ByteBuffer in, int number, long otherwise) throws Malformed {
        long value = otherwise;
        while (in.hasRemaining()) {
            long key = varint(in);
            if (key == (long) number << 3) {
                value = varint(in);
            } else {
                skip(in, key);
            }
        }
        return value;
    }

    private static ByteBuffer message(ByteBuffer in) throws Malformed {
        long length = varint(in);
        if (length < 0 || length > in.remaining()) {
            throw new Malformed();
        }
        ByteBuffer message = in.slice(in.position(), (int) length).order(ByteOrder.LITTLE_ENDIAN);
        in.position(in.position() + (int) length);
        return message;
    }

    private static void skip(ByteBuffer in, long key) throws Malformed {
        switch ((int) (key & 7)) {
            case 0 -> varint(in);
            case 1 -> advance(in, 8);
            case 2 -> message(in);
            case 5 -> advance(in, 4);
            default -> throw new Malformed();
        }
    }

    private static void advance(ByteBuffer in, int bytes) throws Malformed {
        require(in, bytes);
        in.position(in.position() + bytes);
    }

    private static long varint(ByteBuffer in) throws Malformed {
        long value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            require(in, 1);
            byte next = in.get();
            value |= (next & 0x7fL) << shift;
            if (next >= 0) {
                return value;
            }
        }
        throw new Malformed();
    }

    private static void require(ByteBuffer in, int bytes) throws Malformed {
        if (in.remaining() < bytes) {
            throw new Malformed();
        }
    }

    private static final class Malformed extends Exception {
        private static final long serialVersionUID = 1L;
    }
}
