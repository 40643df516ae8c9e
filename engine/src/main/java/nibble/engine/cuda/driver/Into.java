package nibble.engine.cuda.driver;

/** What a product does to the matrix it goes into. */
public enum Into {
    SET,
    ADD,
    SUBTRACT
}
