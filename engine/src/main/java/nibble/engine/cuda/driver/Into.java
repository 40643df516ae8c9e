package nibble.engine.cuda.driver;

/** Says what a product does to the matrix it goes into. */
public enum Into {
    SET,
    ADD,
    SUBTRACT;

    static Into adding(boolean accumulate) {
        return accumulate ? ADD : SET;
    }
}
