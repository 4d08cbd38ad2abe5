"""The Python peer: the same route as ours, on the stack that ours takes the place of."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/auth/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello world"}
