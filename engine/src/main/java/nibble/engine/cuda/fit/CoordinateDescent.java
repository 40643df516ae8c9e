package nibble.engine.cuda.fit;

/** Moves one code of a row after another to where the row's loss {@code e C eᵀ} is least, given all the others. */
final class CoordinateDescent {
    private CoordinateDescent() {}

    /** Sweeps once over all columns; the gradient is that of the codes as they are, and is used up. */
    static void run(RowPiece piece) {
        BlockWalk.alongGradient(piece, "descend");
    }
}
