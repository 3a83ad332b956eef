/**
 * The host key of a machine that was given none. It is no secret: everybody who has Cloister has it. `cloister keys development
 * --arch s390` writes its public half, for who makes a Secure Execution image for such a machine.
 */
export const DEVELOPMENT_HOST_KEY = `-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIB6NE/DG01N5Muuyxg
Yx6+Kr/1WodMIqQg8kQRsFbRzF17mL/DyPohV3hXB1HjCvAyL60lt95NHtl7biDX
M9KC1kihgYkDgYYABAEwaljHI/766JcnInLxKPfBYp8dKaaCr2i71wJ/sO0KQJDr
FiXcjYOn5fdJMauE714Lqnh5RBIYqHHq5jdD7z/oGgAa2s+u+X4ejkPL+xcdX2mo
UOIQkDDOakK/Dd+fa/hKd5G4c1zrTw0/Ne4c3R4pgImQGj9AqooOoCydhdE3syOP
6w==
-----END PRIVATE KEY-----
`;
