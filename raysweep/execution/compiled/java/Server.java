package raysweep;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The candidate's process: reads calls from the socket that is its standard input, and writes answers to it. */
public final class Server {
    private static final int OUT_OF_MEMORY = 103; // exit code, which the judge knows
    private static final int RESERVE = 1 << 16; // bytes that ending this process may take
    private static Candidate candidate;
    private static byte[] reserve;

    private Server() {}

    /** What calls the candidate; generated from the problem's declaration. */
    public interface Candidate {
        Object object() throws Throwable;

        Object call(int function, Object on, Object[] arguments) throws Throwable;
    }

    /** Called by the generated class when it is loaded. */
    public static void register(Candidate found) {
        candidate = found;
    }

    /** Tells that this process is up before anything of the candidate's is loaded. */
    public static void main(String[] given) throws Exception {
        new FileOutputStream(FileDescriptor.in).write(Wire.READY);
        Class.forName("RaysweepCaller");
        if (candidate != null) {
            serve(candidate);
        }
    }

    private static void serve(Candidate candidate) {
        DataInputStream in = new DataInputStream(new FileInputStream(FileDescriptor.in));
        FileOutputStream out = new FileOutputStream(FileDescriptor.in);
        System.setIn(new ByteArrayInputStream(new byte[0]));
        Map<Integer, Object> instances = new HashMap<>();
        byte[] noMemory = Wire.frame(new byte[Wire.NONCE + 1], Wire.NONCE + 1); // made while there is some
        int kind = noMemory.length - 1;
        Verdict.isForAThread(new OutOfMemoryError("")); // loads what it takes
        reserve = new byte[RESERVE];
        try {
            while (true) {
                byte[] call = Wire.receive(in);
                System.arraycopy(call, 0, noMemory, kind - Wire.NONCE, Wire.NONCE);
                try {
                    byte[] answer = answer(candidate, instances, call);
                    Wire.send(out, answer, answer.length);
                } catch (Wire.TooLarge | OutOfMemoryError e) {
                    noMemory[kind] = (byte) (Verdict.isForAThread(e) ? 'H' : 'M');
                    out.write(noMemory);
                }
            }
        } catch (IOException | Wire.Malformed e) {
            Runtime.getRuntime().halt(0); // the tests have ended
        } catch (OutOfMemoryError e) {
            reserve = null;
            Runtime.getRuntime().halt(OUT_OF_MEMORY);
        }
    }

    private static byte[] answer(Candidate candidate, Map<Integer, Object> instances, byte[] call)
            throws Wire.Malformed, Wire.TooLarge {
        List<Object> objects = new ArrayList<>();
        Wire.Reader reader = new Wire.Reader(call, Wire.NONCE, objects, true);
        int function = (int) reader.number(2);
        int number = (int) reader.number(4);
        Object[] arguments = new Object[(int) reader.number(2)];
        for (int i = 0; i < arguments.length; i++) {
            arguments[i] = reader.value(0);
        }
        Object[][] before = new Object[objects.size()][];
        for (int i = 0; i < before.length; i++) {
            before[i] = contents(objects.get(i));
        }
        Wire.Writer out = new Wire.Writer(objects);
        out.raw(call, 0, Wire.NONCE);
        try {
            if (number != 0 && !instances.containsKey(number)) {
                instances.put(number, candidate.object());
            }
            Object result = candidate.call(function, instances.get(number), arguments);
            out.one('R');
            changes(out, objects, before);
            out.value(result, 0);
        } catch (OutOfMemoryError | Wire.TooLarge e) {
            throw e;
        } catch (Throwable e) {
            out.size = Wire.NONCE;
            out.one('T');
            try {
                changes(out, objects, before);
            } catch (Wire.Unsendable f) {
                out.size = Wire.NONCE + 1;
                out.number(0, 2);
            }
            out.one(e instanceof AssertionError ? 1 : 0);
            String message = e.getMessage();
            out.name(e.getClass().getName());
            out.name(message == null ? "" : message.substring(0, Math.min(message.length(), 1000)));
        }
        return Arrays.copyOf(out.bytes, out.size);
    }

    /** Return what a container or an array holds now; null for anything else. */
    private static Object[] contents(Object object) {
        if (object != null && object.getClass().isArray()) {
            Object[] items = new Object[Array.getLength(object)];
            for (int i = 0; i < items.length; i++) {
                items[i] = Array.get(object, i);
            }
            return items;
        }
        if (object instanceof Collection) {
            return ((Collection<?>) object).toArray();
        }
        if (!(object instanceof Map)) {
            return null;
        }
        Map<?, ?> map = (Map<?, ?>) object;
        Object[] found = new Object[2 * map.size()];
        int at = 0;
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            found[at++] = entry.getKey();
            found[at++] = entry.getValue();
        }
        return found;
    }

    private static void changes(Wire.Writer out, List<Object> objects, Object[][] before)
            throws Wire.TooLarge, Wire.Unsendable {
        int start = out.size;
        int count = 0;
        out.number(0, 2);
        for (int i = 0; i < before.length; i++) {
            Object object = objects.get(i);
            boolean isPrimitive = object != null && object.getClass().isArray()
                    && object.getClass().getComponentType().isPrimitive();
            if (before[i] == null || count == 65535 || isSame(before[i], contents(object), isPrimitive)) {
                continue;
            }
            count++;
            out.number(i, 4);
            out.contents(object);
        }
        out.bytes[start] = (byte) (count >> 8);
        out.bytes[start + 1] = (byte) count;
    }

    /** Whether items are the same objects, or equal ones where each was boxed for this. */
    private static boolean isSame(Object[] one, Object[] other, boolean isPrimitive) {
        boolean same = one.length == other.length;
        for (int i = 0; same && i < one.length; i++) {
            same = isPrimitive ? one[i].equals(other[i]) : one[i] == other[i];
        }
        return same;
    }
}
